"""Training: the loop, what listens to it, and the record it leaves."""

from pellucid.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from pellucid.training.checkpoints import Checkpoints
from pellucid.training.history import History
from pellucid.training.loop import fit

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoints",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "fit",
]
