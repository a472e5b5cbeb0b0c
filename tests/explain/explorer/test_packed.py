import base64
import json

import numpy as np
import pytest

from pellucid.explain.explorer.packed import pack, pack_bytes, pack_roughly, strict


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
def test_numbers_in_c_order(dtype):
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4).transpose(2, 0, 1) - 5.5
    packed = pack(array)
    assert (packed["shape"], packed["min"], packed["max"]) == ([4, 2, 3], -5.5, 17.5)
    assert [*np.frombuffer(base64.b64decode(packed["data"]), "<f4")] == [float(v) for v in array.ravel()]


def test_ranges_are_of_finite_numbers():
    packed = pack(np.array([np.nan, 2.0, -np.inf, 1e300]))
    assert (packed["min"], packed["max"]) == (2.0, 2.0)
    assert pack(np.array([np.nan]))["max"] is None
    assert pack(np.zeros((0, 3))) == {"shape": [0, 3], "data": "", "min": None, "max": None}


def test_bytes():
    pixels = np.array([[1, 2], [3, 255]], np.uint8).T
    assert base64.b64decode(pack_bytes(pixels)) == bytes([1, 3, 2, 255])


def test_strict_json():
    value = {"a": (1, np.float32(0.5), np.int64(3)), 4: [np.nan, float("inf"), np.float64("nan")], "b": np.ones(2)}
    assert strict(value) == {"a": [1, 0.5, 3], "4": [None, None, None], "b": [1.0, 1.0]}
    json.dumps(strict(value), allow_nan=False)


def test_eight_bits_a_number_are_off_by_half_a_step():
    array = np.array([[-2.54, 0.013], [0.0, 1.0]], np.float32)
    packed = pack_roughly(array)
    assert (packed["shape"], packed["step"]) == ([2, 2], pytest.approx(0.02))
    assert (packed["min"], packed["max"]) == (float(np.float32(-2.54)), 1.0)
    assert list(np.frombuffer(base64.b64decode(packed["data"]), np.int8)) == [-127, 1, 0, 50]


@pytest.mark.parametrize("array", [[1.0, np.nan], [np.inf, 0.0], [0.0, 0.0], [1e-44, 0.0]])
def test_what_eight_bits_cannot_say_stays_whole(array):
    packed = pack_roughly(np.array(array, np.float32))
    assert "step" not in packed
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed["data"]), "<f4"), np.array(array, np.float32))
