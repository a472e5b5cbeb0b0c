"""The data sets that can be had by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pellucid.data.cifar import CIFAR10, CIFAR100
from pellucid.data.dataset import DIGITS, Dataset
from pellucid.data.digits import load_digits
from pellucid.data.emnist import EMNIST
from pellucid.data.mnist_like import MnistLike
from pellucid.data.publishers import PUBLISHED
from pellucid.data.usps import load_usps
from pellucid.errors import ConfigError, DataNotFoundError, MissingExtraError
from pellucid.extra import need
from pellucid.suggestion import did_you_mean

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
#: Kuzushiji-MNIST's classes, one hiragana of each row of the table
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

MNIST_LIKE = (
    MnistLike("mnist", "t10k", DIGITS),
    MnistLike("fashion-mnist", "t10k", CLOTHES),
    MnistLike("kmnist", "t10k", HIRAGANA),
)

#: what reads the data sets that lie in files
READERS: dict[str, Callable[[Sequence[Path]], Dataset]] = {
    **{data.name: data.load for data in (*MNIST_LIKE, *EMNIST)},
    "usps": load_usps,
    **{data.name: data.load for data in (CIFAR10, CIFAR100)},
}
NAMES = ("digits", *READERS)


def load_dataset(name: str, data_dir: str | Path | None = None, *, download: bool | None = None) -> Dataset:
    """Load a data set by its name; download it if need be.

    ==================  ==================  ============  =====================================================
    name                training + test     pixels        where it comes from
    ==================  ==================  ============  =====================================================
    ``digits``          1,442 + 355         8×8 float32   scikit-learn, see :func:`load_digits`
    ``mnist``           60,000 + 10,000     28×28 uint8   four IDX files, plain or ``.gz``
    ``fashion-mnist``   60,000 + 10,000     28×28 uint8   four IDX files, plain or ``.gz``
    ``kmnist``          60,000 + 10,000     28×28 uint8   four IDX files, plain or ``.gz``: Kuzushiji-MNIST
    ``emnist``          112,800 + 18,800    28×28 uint8   ``gzip.zip``: as many of each of 47 classes ("balanced")
    ``emnist-bymerge``  697,932 + 116,323   28×28 uint8   ``gzip.zip``: 47 classes
    ``emnist-byclass``  697,932 + 116,323   28×28 uint8   ``gzip.zip``: 62 classes
    ``emnist-letters``  124,800 + 20,800    28×28 uint8   ``gzip.zip``: 26 letters, capital and small alike
    ``emnist-digits``   240,000 + 40,000    28×28 uint8   ``gzip.zip``
    ``emnist-mnist``    60,000 + 10,000     28×28 uint8   ``gzip.zip``
    ``usps``            7,291 + 2,007       16×16 uint8   four IDX files, plain or ``.gz``, or LIBSVM's two
    ``cifar10``         50,000 + 10,000     32×32 uint8   ``cifar-10-binary.tar.gz``, packed or unpacked
    ``cifar100``        50,000 + 10,000     32×32 uint8   ``cifar-100-binary.tar.gz``, packed or unpacked
    ==================  ==================  ============  =====================================================

    Args:
        name: one of the above.
        data_dir: a folder that holds the files, or a folder ``name`` (``emnist`` for all its kinds) with the files in
            it; if None, the environment variable ``PELLUCID_DATA_DIR``; if there is none either, the folder where this
            system keeps what can be had again. Not needed for the digits.
        download: whether to fetch files that are not there from their publisher, into the folder ``name``; they are
            checked against the MD5 checksums of :mod:`pellucid.data.publishers`, files of your own are not. None: only
            if neither you nor the environment named a folder.

    Returns:
        Images (N, C, H, W), as stored: a network divides ``uint8`` by 255 itself. Labels (N,), int64.

    Raises:
        ConfigError: there is no data set of that name.
        DataNotFoundError: the files are not there, and not to be downloaded.
        DataError: they cannot be used, or cannot be downloaded.
        FileWriteError: what is downloaded cannot be written.
        MissingExtraError: the digits need scikit-learn, downloads need pooch.
    """
    if name == "digits":
        return load_digits()
    if name not in READERS:
        near = did_you_mean(str(name).lower(), NAMES)
        raise ConfigError(f"no data set called {str(name)!r}{near}; there are {', '.join(NAMES)}")
    kept = next(folder for folder in PUBLISHED if name == folder or name.startswith(f"{folder}-"))
    given = data_dir or os.environ.get("PELLUCID_DATA_DIR")
    # The named folder first: the files of MNIST and of Fashion-MNIST have the same names.
    folders = [Path(given) / kept, Path(given)] if given else _cache(kept, needed=download is not False)
    try:
        return READERS[name](folders)
    except DataNotFoundError:
        if download is False or (given and download is None):
            raise
    for remote in PUBLISHED[kept]:
        if not (folders[0] / remote.name).exists():  # a file of one's own may be packed in another way
            remote.fetch(folders[0])
    return READERS[name](folders[:1])


def _cache(name: str, needed: bool) -> list[Path]:
    """Return the folder of a data set among what can be had again; none if pooch is not there to tell, nor needed."""
    try:
        return [need("pooch", f"{name} is downloaded with pooch").os_cache("pellucid") / name]
    except MissingExtraError:
        if needed:
            raise
        return []
