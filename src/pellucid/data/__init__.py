"""Data sets by name, and the readers behind them."""

from pellucid.data.catalogue import load_dataset
from pellucid.data.dataset import Dataset
from pellucid.data.idx import read_idx

__all__ = ["Dataset", "load_dataset", "read_idx"]
