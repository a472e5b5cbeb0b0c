import numpy as np

from pellucid.correlation.direct import correlate_direct


def test_bindings_b_1():
    # y₀ = w₀x₀ + w₁x₁, y₁ = w₀x₁ + w₁x₂, y₂ = w₀x₂ + w₁x₃ with x = (2, 3, 5, 7), w = (10, 1)
    y = correlate_direct(np.array([2.0, 3, 5, 7]), np.array([10.0, 1]))
    assert y.tolist() == [2 * 10 + 3, 3 * 10 + 5, 5 * 10 + 7] == [23, 35, 57]


def test_bindings_b_12_with_the_third_line_of_b_11_called_y02():
    x = np.arange(16.0).reshape(4, 4)
    w = np.array([[1.0, 10], [100, 1000]])
    y = correlate_direct(x, w)
    assert y.shape == (3, 3)
    assert y[0, 0] == 1 * 0 + 10 * 1 + 100 * 4 + 1000 * 5
    assert y[0, 1] == 1 * 1 + 10 * 2 + 100 * 5 + 1000 * 6
    assert y[0, 2] == 1 * 2 + 10 * 3 + 100 * 6 + 1000 * 7  # printed as y₀₃; 4 − 2 + 1 columns end at y₀₂
    assert y[2, 2] == 1 * 10 + 10 * 11 + 100 * 14 + 1000 * 15


def test_the_five_by_five_image_of_figure_1_1():
    # The figure's 5×5 image with a 2×2 filter; its numbers are not in the text, these are worked by hand.
    image = np.array(
        [
            [1.0, 2, 0, 1, 3],
            [0, 1, 1, 2, 0],
            [2, 0, 3, 1, 1],
            [1, 1, 0, 2, 2],
            [0, 3, 1, 0, 1],
        ]
    )
    kernel = np.array([[1.0, 2], [0, -1]])
    # Row 0: 1 + 4 − 1, 2 + 0 − 1, 0 + 2 − 2, 1 + 6 − 0; and so on: I(i,j) + 2·I(i,j+1) − I(i+1,j+1)
    expected = [[4, 1, 0, 7], [2, 0, 4, 1], [1, 6, 3, 1], [0, 0, 4, 5]]
    assert correlate_direct(image, kernel).tolist() == expected
