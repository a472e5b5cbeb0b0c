"""Data sets by name, the readers behind them, and sources that need not fit into memory."""

from pellucid.data.catalogue import load_dataset
from pellucid.data.dataset import Dataset
from pellucid.data.idx import read_idx
from pellucid.data.source import NpySource, Source

__all__ = ["Dataset", "NpySource", "Source", "load_dataset", "read_idx"]
