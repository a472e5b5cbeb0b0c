"""The data sets that can be had by name."""

from __future__ import annotations

import os
from pathlib import Path

from pellucid.data.cifar10 import load_cifar10
from pellucid.data.dataset import DIGITS, Dataset
from pellucid.data.digits import load_digits
from pellucid.data.mnist_like import MnistLike
from pellucid.errors import ConfigError

#: Fashion-MNIST's classes
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

MNIST_LIKE = (
    MnistLike("mnist", "t10k", DIGITS),
    MnistLike("fashion-mnist", "t10k", CLOTHES),
    MnistLike("usps", "test", DIGITS),
)

#: what reads the data sets that lie in files
READERS = {**{data.name: data.load for data in MNIST_LIKE}, "cifar10": load_cifar10}


def load_dataset(name: str, data_dir: str | Path | None = None) -> Dataset:
    """Load a data set by its name.

    ==================  ======================  ============  =======================================
    name                training + test images  pixels        where it comes from
    ==================  ======================  ============  =======================================
    ``digits``          1,442 + 355             8×8 float32   scikit-learn, see :func:`load_digits`
    ``mnist``           60,000 + 10,000         28×28 uint8   four IDX files, plain or ``.gz``
    ``fashion-mnist``   60,000 + 10,000         28×28 uint8   four IDX files, plain or ``.gz``
    ``usps``            7,291 + 2,007           16×16 uint8   four IDX files, plain or ``.gz``
    ``cifar10``         50,000 + 10,000         32×32 uint8   ``cifar-10-binary.tar.gz``, packed or unpacked
    ==================  ======================  ============  =======================================

    Args:
        name: one of the above.
        data_dir: a folder that holds the files, or a folder ``name`` with the files in it; if None, the environment
            variable ``PELLUCID_DATA_DIR``. Not needed for the digits.

    Returns:
        Images (N, C, H, W), as stored: a network divides ``uint8`` by 255 itself. Labels (N,), int64.

    Raises:
        ConfigError: there is no data set of that name.
        DataError: the files were not found, or cannot be used.
        MissingExtraError: the digits need scikit-learn, which is not installed.
    """
    if name == "digits":
        return load_digits()
    if name not in READERS:
        raise ConfigError(f"no data set called {name!r}; there are {', '.join(('digits', *READERS))}")
    given = data_dir or os.environ.get("PELLUCID_DATA_DIR")
    # The named folder first: the files of MNIST and of Fashion-MNIST have the same names.
    folders = [Path(given) / name, Path(given)] if given else []
    return READERS[name](folders)
