from __future__ import annotations

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import DataError
from pellucid.layers import Linear


def test_numbers_too_large_for_the_dtype_are_refused():
    net = Network([Linear(2)], (3,))
    with pytest.raises(DataError, match="sample 1 holds numbers too large for float32; scale the data"):
        net.predict(np.array([[0.0, 0, 0], [0, 1e300, 0]]))
    with pytest.raises(DataError, match="contain NaN, infinity, or numbers too large for float32"):
        net.parameters["0.bias"] = [1e300, 0]
    with pytest.raises(DataError, match="input_mean contains NaN or infinity"):
        Network([Linear(2)], (3,), input_mean=[1e300, 0, 0])


def test_ragged_and_complex_arrays_are_refused():
    net = Network([Linear(2)], (3,))
    with pytest.raises(DataError, match="images cannot be made into one array"):
        net.predict([[1, 2, 3], [4]])
    with pytest.raises(DataError, match=r"'0\.bias' must be real numbers, got dtype complex128"):
        net.parameters["0.bias"] = [1j, 0]


@pytest.mark.parametrize("sample", [0, 1, 699, 1399])
def test_the_first_bad_sample_of_many_is_named(sample: int):
    # 1,400·400 numbers are looked through in three pieces.
    images = np.ones((1400, 400))
    images[sample, 399] = np.inf
    images[-1, 0] = np.nan
    with pytest.raises(DataError, match=f"sample {sample} contains NaN or infinity; clean the data first"):
        Network([Linear(2)], (400,)).predict(images)
