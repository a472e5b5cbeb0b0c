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
