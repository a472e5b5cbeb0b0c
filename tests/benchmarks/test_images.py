from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import images
from pellucid.errors import DataError


def test_only_the_shapes_asked_for_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "load_dataset", lambda *_, **__: pytest.fail("MNIST was read"))
    images.write(tmp_path, {(3, 32, 32)})
    assert {path.name for path in tmp_path.iterdir()} == {"3x32x32.npy", "3x32x32-labels.npy", "told"}
    pixels, labels = images.read(tmp_path, (3, 32, 32))
    assert (pixels.shape, pixels.dtype, images.count(tmp_path, (3, 32, 32))) == ((12_800, 3, 32, 32), "uint8", 12_800)
    assert (labels.min(), labels.max()) == (0, 9)
    assert (tmp_path / "told").read_text() == "random images in colour"


def test_grishins_images_have_two_black_pixels_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise DataError("no MNIST")

    monkeypatch.setattr(images, "load_dataset", missing)
    images.write(tmp_path, {(1, 32, 32), (3, 224, 224)})
    padded, labels = images.read(tmp_path, (1, 32, 32))
    pixels, same = images.read(tmp_path, (1, 28, 28))
    np.testing.assert_array_equal(padded[:, :, 2:-2, 2:-2], pixels)
    np.testing.assert_array_equal(labels, same)
    assert padded[:, :, [0, 1, -2, -1]].max() == padded[..., [0, 1, -2, -1]].max() == 0
    told = "random images and labels: MNIST was not found; random images in colour"
    assert (tmp_path / "told").read_text() == told
