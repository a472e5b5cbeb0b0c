import numpy as np
import pytest

from pellucid.correlation.im2col import correlate_im2col, im2col


def test_the_matrix_of_bindings_b_5():
    assert im2col(np.array([20.0, 21, 22, 23]), (2,)).tolist() == [[20, 21], [21, 22], [22, 23]]


def test_the_matrix_of_epelbaums_figure_holds_the_windows_row_by_row():
    x = np.array([[0.0, 1, 2], [10, 11, 12], [20, 21, 22], [30, 31, 32]])
    assert im2col(x, (2, 2)).tolist() == [
        [0, 1, 10, 11],
        [1, 2, 11, 12],
        [10, 11, 20, 21],
        [11, 12, 21, 22],
        [20, 21, 30, 31],
        [21, 22, 31, 32],
    ]
    assert im2col(x, (3, 1)).tolist()[:3] == [[0, 10, 20], [1, 11, 21], [2, 12, 22]]


@pytest.mark.parametrize(("size", "kernel"), [((5, 4), (2, 3)), ((1, 1), (1, 1)), ((7, 7), (7, 7)), ((9,), (4,))])
def test_its_shape_is_outputs_times_taps(size, kernel):
    outputs = np.prod([t - r + 1 for t, r in zip(size, kernel, strict=True)])
    assert im2col(np.zeros(size), kernel).shape == (outputs, np.prod(kernel))


def test_the_dot_product_of_bindings_1_4():
    image, kernel = np.array([[2.0, 3], [5, 7]]), np.array([[1.0, 10], [100, 1000]])
    assert correlate_im2col(image, kernel).tolist() == [[2 * 1 + 3 * 10 + 5 * 100 + 7 * 1000]]
