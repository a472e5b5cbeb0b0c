"""Data sets by name or by path, the readers behind them, and sources that need not fit into memory."""

from pellucid.data.array_files import load_arrays
from pellucid.data.catalogue import load_dataset
from pellucid.data.dataset import Dataset
from pellucid.data.idx import read_idx
from pellucid.data.image_file import ImageForm
from pellucid.data.image_files import ImageFiles
from pellucid.data.image_folder import ImageFolder
from pellucid.data.parquet import load_parquet
from pellucid.data.path import load_path
from pellucid.data.source import NpySource, Source

__all__ = [
    "Dataset",
    "ImageFiles",
    "ImageFolder",
    "ImageForm",
    "NpySource",
    "Source",
    "load_arrays",
    "load_dataset",
    "load_parquet",
    "load_path",
    "read_idx",
]
