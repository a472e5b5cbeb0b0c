"""Training: the loop, what listens to it, and the record it leaves."""

from pellucid.training.callbacks import Callback, EarlyStopping
from pellucid.training.checkpoints import Checkpoints
from pellucid.training.history import History
from pellucid.training.loop import fit

__all__ = ["Callback", "Checkpoints", "EarlyStopping", "History", "fit"]
