from __future__ import annotations

import sys

import numpy as np
import pytest

from pellucid.data import load_dataset
from pellucid.errors import MissingExtraError


def test_split_is_every_fifth_of_each_class_in_file_order() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    bunch = sklearn_datasets.load_digits()
    train, test, seen = [], [], dict.fromkeys(range(10), 0)
    for pixels, digit in zip(bunch.images.tolist(), bunch.target.tolist(), strict=True):
        seen[digit] += 1
        (test if seen[digit] % 5 == 0 else train).append((pixels, digit))

    data = load_dataset("digits")

    for x, y, expected in [(data.x_train, data.y_train, train), (data.x_test, data.y_test, test)]:
        # Sixteenths are exact in float32.
        assert (x[:, 0] * 16).tolist() == [pixels for pixels, _ in expected]
        assert y.tolist() == [digit for _, digit in expected]


def test_what_it_gives() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    data = load_dataset("digits")
    assert data.name == "digits"
    assert (data.x_train.shape, data.x_test.shape) == ((1442, 1, 8, 8), (355, 1, 8, 8))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int64)
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    # The UCI description counts 178 182 177 183 181 182 181 179 174 180 images of the ten digits in this set.
    assert np.bincount(data.y_train).tolist() == [143, 146, 142, 147, 145, 146, 145, 144, 140, 144]
    assert np.bincount(data.y_test).tolist() == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    assert data.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_the_folder_does_not_matter() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    assert len(load_dataset("digits", "/no/such/folder").x_train) == 1442


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError) as caught:
        load_dataset("digits")
    assert "the digits come with scikit-learn, which cannot be imported" in str(caught.value)
    assert str(caught.value).endswith('pip install "pellucid[sklearn]"')
    assert isinstance(caught.value, ImportError)
