from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import load_dataset
from pellucid.errors import ConfigError

SHARED = Path(__file__).parents[2] / "../shared/data"

# Labels of each class in training and test, as the literature counts them; for USPS the table that comes with
# "The Elements of Statistical Learning" (zip.info).
PUBLISHED = {
    "mnist": (
        (28, 28),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ),
    "fashion-mnist": ((28, 28), [6000] * 10, [1000] * 10),
    "usps": (
        (16, 16),
        [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
        [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_files_have_the_published_size_and_labels(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("needs the shared data folder beside the project")
    size, train, test = PUBLISHED[name]

    data = load_dataset(name, SHARED)

    assert data.x_train.shape == (sum(train), 1, *size)
    assert data.x_test.shape == (sum(test), 1, *size)
    assert np.bincount(data.y_train).tolist() == train
    assert np.bincount(data.y_test).tolist() == test
    assert (data.x_train.dtype, data.y_train.dtype) == (np.uint8, np.int64)
    assert (data.x_train.min(), data.x_train.max()) == (0, 255)


def test_the_first_images_are_the_digits_everybody_knows() -> None:
    if not (SHARED / "mnist").is_dir():
        pytest.skip("needs the shared data folder beside the project")
    data = load_dataset("mnist", SHARED / "mnist")
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # mean and deviation of the pixels, as quoted everywhere: 0.1307 and 0.3081
    assert data.x_train.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert data.x_train.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_fashion_mnist_names_its_clothes() -> None:
    if not (SHARED / "fashion-mnist").is_dir():
        pytest.skip("needs the shared data folder beside the project")
    data = load_dataset("fashion-mnist", SHARED)
    assert [data.class_names[label] for label in data.y_train[:4]] == [
        "Ankle boot",
        "T-shirt/top",
        "T-shirt/top",
        "Dress",
    ]


def test_unknown_name() -> None:
    with pytest.raises(
        ConfigError,
        match=r"no data set called 'minst' \(did you mean 'mnist'\?\); there are digits, mnist, .*, cifar10",
    ):
        load_dataset("minst")


def test_reading_data_does_not_import_scikit_learn() -> None:
    code = "import sys, pellucid.data; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
