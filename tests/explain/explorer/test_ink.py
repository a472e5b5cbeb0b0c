import numpy as np
import pytest

from pellucid.explain.explorer.ink import Ink
from pellucid.explain.explorer.pictures import from_drawing


def stroke(size, box, value=255):
    """A grey picture with one bright rectangle: top, bottom, left, right."""
    picture = np.zeros(size, np.uint8)
    top, bottom, left, right = box
    picture[top:bottom, left:right] = value
    return picture


@pytest.fixture
def centred():
    """Rectangles of 12 to 20 pixels in 28, in the middle."""
    rng = np.random.default_rng(0)
    images = []
    for width in rng.integers(2, 8, 40):
        images.append(stroke((28, 28), (4, 24, 14 - width, 14 + width)))
    return np.stack(images)[:, None]


def test_what_the_images_tell(centred):
    ink = Ink.of(centred)
    assert (ink.size, ink.side, ink.centre) == ((28, 28), 20, (14, 14))


def test_centred_by_mass():
    # the mass lies in the middle, the box does not: a long thin tail on one side, of varying length
    images = []
    for tail in range(1, 9):
        picture = stroke((40, 40), (10, 20, 10, 20))
        picture[15, 20 : 20 + tail] = 255
        rows, columns = np.nonzero(picture)
        shift = round(20 - (columns.mean() + 0.5)), round(20 - (rows.mean() + 0.5))
        images.append(np.roll(picture, (shift[1], shift[0]), axis=(0, 1)))
    ink = Ink.of(np.stack(images)[:, None])
    assert ink.by_mass
    np.testing.assert_allclose(ink.centre, (20, 20), atol=0.5)


@pytest.mark.parametrize("box", [(10, 110, 20, 60), (150, 250, 200, 240), (0, 280, 100, 212), (100, 180, 0, 24)])
def test_a_drawing_anywhere_comes_where_the_data_has_it(centred, box):
    pytest.importorskip("PIL", reason="drawings shrink with Pillow")
    drawing = stroke((280, 280), box)
    image = from_drawing(280, 280, 1, drawing.tobytes(), (1, 28, 28), Ink.of(centred))[0]
    rows, columns = np.nonzero(image > 127)
    assert image.shape == (28, 28)
    assert rows.max() + 1 - rows.min() == pytest.approx(20, abs=1)
    assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(14, abs=0.6)
    assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(14, abs=0.6)


def test_a_dot_stays_a_dot(centred):
    framed = Ink.of(centred).frame(stroke((280, 280), (100, 103, 50, 53)))
    assert framed.shape == (112, 112)
    assert (framed > 0).sum() == 9


def test_a_large_drawing_of_what_is_small_in_the_data():
    """Dots of 1 pixel in 64: cut out at full size, this drawing would have 128,000 × 128,000 pixels."""
    dots = np.stack([stroke((64, 64), (30, 31, 30 + i % 3, 31 + i % 3)) for i in range(9)])[:, None]
    ink = Ink.of(dots)
    assert ink.side == 1
    framed = ink.frame(stroke((2000, 2000), (0, 2000, 0, 2000)))
    assert framed.shape == (4032, 4032)
    rows, columns = np.nonzero(framed)
    assert rows.max() + 1 - rows.min() == columns.max() + 1 - columns.min() == 4032 // 64
    assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(30.5 * 63, abs=1)
    line = ink.frame(stroke((1, 4096), (0, 1, 0, 4096)))  # thinner than what becomes one pixel
    assert line.any()


def test_no_ink(centred):
    empty = np.zeros((280, 280), np.uint8)
    assert Ink.of(centred).frame(empty) is empty


@pytest.mark.parametrize(
    "images",
    [
        np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), np.uint8),  # photographs
        np.full((5, 1, 8, 8), 255, np.uint8),
        255 - np.stack([stroke((8, 8), (2, 6, 2, 6))] * 5)[:, None],  # dark on bright
        np.zeros((5, 1, 8, 8), np.uint8),
        np.zeros((5, 3, 8, 8), np.uint8),
        np.zeros((0, 1, 8, 8), np.uint8),
        np.random.default_rng(0).normal(size=(5, 1, 8, 8)),
    ],
)
def test_data_without_drawings(images):
    assert Ink.of(images) is None


def test_the_digits():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    from pellucid.data import load_dataset

    ink = Ink.of(load_dataset("digits").x_train)
    assert ink is not None
    assert ink.side == 8  # they fill their 8 pixels
