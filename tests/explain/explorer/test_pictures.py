import io

import numpy as np
import pytest

from pellucid.errors import DataError
from pellucid.explain.explorer.pictures import from_drawing, from_file, thumbnails

pillow = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow")


def png(pixels):
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_drawing_of_the_right_size_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    assert (from_drawing(7, 5, 1, pixels.tobytes(), (1, 5, 7)) == pixels[None]).all()
    coloured = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (from_drawing(7, 5, 3, coloured.tobytes(), (3, 5, 7)) == coloured.transpose(2, 0, 1)).all()


def test_a_large_drawing_shrinks():
    pixels = np.zeros((40, 40), np.uint8)
    pixels[:20, 20:] = 200
    small = from_drawing(40, 40, 1, pixels.tobytes(), (1, 4, 4))
    assert small.shape == (1, 4, 4)
    assert (small[0, 0, 3], small[0, 3, 3], small[0, 0, 0]) == (200, 0, 0)
    assert abs(float(small.mean()) - pixels.mean()) < 2


def test_grey_becomes_colour_and_colour_grey():
    assert (from_drawing(1, 1, 1, b"\x64", (3, 1, 1)).ravel() == [100, 100, 100]).all()
    # ITU-R 601: 0.299 · 255
    assert from_drawing(1, 1, 3, b"\xff\0\0", (1, 1, 1)).ravel() == [76]


def test_a_file():
    pixels = np.random.default_rng(1).integers(0, 256, (6, 6), np.uint8)
    assert (from_file(png(pixels), (1, 6, 6)) == pixels[None]).all()
    # a wide picture gets bars above and below
    wide = from_file(png(np.full((3, 6), 9, np.uint8)), (1, 6, 6))
    assert [*wide[0, :, 0]] == [0, 9, 9, 9, 0, 0] or [*wide[0, :, 0]] == [0, 0, 9, 9, 9, 0]


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: from_drawing(2, 2, 1, b"123", (1, 4, 4)), "of 2×2 pixels and 1 channels has 4 bytes, got 3"),
        (lambda: from_drawing(2, 2, 2, b"12345678", (1, 4, 4)), "or has 3: red, green and blue; got 2"),
        (lambda: from_file(b"GIF89a nothing", (1, 4, 4)), "the picture"),
        (lambda: from_file(b"", (1, 4, 4)), "the picture is not an image"),
        (lambda: from_file(b"x", (64,)), r"takes inputs of shape \(64,\), which no picture"),
        (lambda: from_file(b"x", (2, 4, 4)), r"takes inputs of shape \(2, 4, 4\), which no picture"),
    ],
)
def test_faults(call, fault):
    with pytest.raises(DataError, match=fault):
        call()


def test_thumbnails():
    pixels = np.array([[0, 7, 255]], np.uint8)
    assert thumbnails(pixels) is pixels
    assert [*thumbnails(np.array([[-1.0, 0.0, 1.0]]))[0]] == [0, 128, 255]
    assert [*thumbnails(np.array([[2.0, 2.0]]))[0]] == [0, 0]
