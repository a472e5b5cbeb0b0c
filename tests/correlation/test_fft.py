import numpy as np
import pytest

from pellucid.correlation.fft import correlate_fft


def test_a_shifted_kernel_worked_by_hand():
    # One tap at position 2 picks x[i + 2]; a missing conjugate would pick x[i − 2] instead.
    np.testing.assert_allclose(correlate_fft(np.arange(6.0), np.array([0.0, 0, 1])), [2, 3, 4, 5], atol=1e-14)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 31, 64, 97])
def test_the_longest_kernel_does_not_wrap_around(length):
    x, w = np.random.default_rng(length).normal(size=(2, length))
    np.testing.assert_allclose(correlate_fft(x, w), [sum(x * w)], rtol=0, atol=1e-13 * length)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 8), (17, 4), (31, 37)])
def test_odd_and_even_sizes_lose_no_pixel(size):
    x = np.random.default_rng(1).normal(size=size)
    np.testing.assert_allclose(correlate_fft(x, np.array([[2.0]])), 2 * x, rtol=0, atol=1e-13)
