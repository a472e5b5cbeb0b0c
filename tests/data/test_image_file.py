from __future__ import annotations

import io
import os
import struct
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.data import ImageForm
from pellucid.errors import ConfigError, DataError, MissingExtraError

Image = pytest.importorskip("PIL.Image", reason="image files are read with Pillow")

# A picture of 2×3 pixels: what it looks like in colour, and in grey by 0.299 R + 0.587 G + 0.114 B.
COLOUR = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [100, 150, 200]]], dtype=np.uint8
)
GREY = np.array([[76, 150, 29], [255, 0, 141]], dtype=np.uint8)


def saved(image: Any, path: Path, **settings: Any) -> Path:
    image.save(path, **settings)
    return path


def channels_first(pixels: np.ndarray[Any, Any]) -> list[Any]:
    return pixels.transpose(2, 0, 1).tolist()


def error_of(path: Path, form: ImageForm | None = None) -> str:
    with pytest.raises(DataError) as caught:
        (form or ImageForm()).read(path)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "ppm", "gif"])
def test_colours_come_as_they_are_in_kinds_without_loss(tmp_path: Path, kind: str) -> None:
    path = saved(Image.fromarray(COLOUR), tmp_path / f"x.{kind}")
    pixels = ImageForm().read(path)
    assert (pixels.shape, pixels.dtype) == ((3, 2, 3), np.uint8)
    assert pixels.flags.c_contiguous
    assert pixels.tolist() == channels_first(COLOUR)
    assert ImageForm(grey=True).read(path).tolist() == [GREY.tolist()]


def test_jpeg_and_webp_come_near(tmp_path: Path) -> None:
    even = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    for name, settings in (("x.jpg", {}), ("x.webp", {"lossless": True})):
        pixels = ImageForm().read(saved(Image.fromarray(even), tmp_path / name, **settings))
        np.testing.assert_allclose(pixels, even.transpose(2, 0, 1), atol=2)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = saved(Image.fromarray(GREY), tmp_path / "grey.png")
    assert ImageForm(grey=True).read(path).tolist() == [GREY.tolist()]
    assert ImageForm().read(path).tolist() == [GREY.tolist()] * 3


def test_black_and_white(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.array([[True, False]])), tmp_path / "1.png")
    assert ImageForm(grey=True).read(path).tolist() == [[[255, 0]]]


def test_palette(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    pixels = ImageForm().read(saved(image, tmp_path / "p.png"))
    assert pixels.tolist() == [[[40, 10]], [[50, 20]], [[60, 30]]]


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    pixels = ImageForm().read(saved(Image.fromarray(rgba), tmp_path / "rgba.png"))
    # 51/255 of black over white: 255·0.8 = 204
    assert pixels[:, 0].T.tolist() == [[10, 20, 30], [255, 255, 255], [204, 204, 204]]

    la = saved(Image.fromarray(np.array([[[7, 255], [7, 0]]], np.uint8)), tmp_path / "la.png")
    assert ImageForm(grey=True).read(la).tolist() == [[[7, 255]]]

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([1, 0])
    path = saved(palette, tmp_path / "p.png", transparency=1)
    assert ImageForm().read(path)[:, 0].T.tolist() == [[255, 255, 255], [10, 20, 30]]


def test_sixteen_bits_become_the_nearest_eight(tmp_path: Path) -> None:
    # v/257, the nearest: 128/257 = 0.498, 129/257 = 0.502, 65406/257 = 254.498, 65407/257 = 254.502
    deep = np.array([[0, 128, 129, 257, 65406, 65407, 65535]], np.uint16)
    for name in ("x.png", "x.tiff"):
        path = saved(Image.fromarray(deep), tmp_path / name)
        assert ImageForm(grey=True).read(path).tolist() == [[[0, 0, 1, 1, 254, 255, 255]]], name
        assert ImageForm().read(path).shape == (3, 1, 7)


def test_numbers_without_a_known_white_are_refused(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.array([[0.5, 1.0]], np.float32)), tmp_path / "f.tiff")
    assert error_of(path) == f"{path} holds floating-point numbers; save it with 8 or 16 bits a channel"
    path = saved(Image.fromarray(np.array([[0, 70_000]], np.int32)), tmp_path / "i.tiff")
    assert error_of(path) == f"{path} holds numbers of 32 bits; save it with 8 or 16 bits a channel"


def test_printers_colours(tmp_path: Path) -> None:
    path = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), tmp_path / "cyan.jpg")
    pixels = ImageForm().read(path)
    np.testing.assert_allclose(pixels[:, 4, 4], (0, 255, 255), atol=3)


# How the first pixel row and column of a stored picture are to be shown, by the EXIF standard's table.
ORIENTATIONS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(COLOUR), tmp_path / "x.png", exif=exif)
    assert ImageForm().read(path).tolist() == channels_first(ORIENTATIONS[orientation](COLOUR))


def test_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 1), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert ImageForm().read(path)[:, 0, 0].tolist() == [255, 0, 0]


def wide(tmp_path: Path) -> Path:
    """4 pixels high and 8 wide: black, but white in the two columns at either end."""
    pixels = np.zeros((4, 8), np.uint8)
    pixels[:, :2] = pixels[:, 6:] = 255
    return saved(Image.fromarray(pixels), tmp_path / "wide.png")


def test_crop_keeps_the_middle(tmp_path: Path) -> None:
    assert ImageForm((4, 4), grey=True).read(wide(tmp_path)).tolist() == [[[0, 0, 0, 0]] * 4]
    # Half the size: each pixel the mean of 2×2, and a little of what lies beside.
    small = ImageForm((2, 2), grey=True).read(wide(tmp_path))
    assert small.shape == (1, 2, 2)
    assert small.max() <= 40


def test_stretch_keeps_everything(tmp_path: Path) -> None:
    pixels = ImageForm((8, 8), grey=True, resize="stretch").read(wide(tmp_path))
    assert pixels.tolist() == [[[255, 255, 0, 0, 0, 0, 255, 255]] * 8]


def test_pad_puts_black_bars(tmp_path: Path) -> None:
    white = saved(Image.new("L", (8, 4), "white"), tmp_path / "white.png")
    pixels = ImageForm((8, 8), grey=True, resize="pad").read(white)
    assert pixels[0].tolist() == [[0] * 8] * 2 + [[255] * 8] * 4 + [[0] * 8] * 2
    tall = saved(Image.new("L", (2, 4), "white"), tmp_path / "tall.png")
    pixels = ImageForm((8, 8), grey=True, resize="pad").read(tall)
    assert pixels[0].tolist() == [[0, 0, 255, 255, 255, 255, 0, 0]] * 8


def test_a_large_jpeg_is_scaled_down_to_its_mean(tmp_path: Path) -> None:
    # Decoded at an eighth of its size; each quarter of the picture stays in its place.
    pixels = np.zeros((1600, 1200), np.uint8)
    pixels[:800, :600], pixels[800:, 600:] = 200, 100
    path = saved(Image.fromarray(pixels), tmp_path / "large.jpg")
    small = ImageForm((20, 20), grey=True, resize="stretch").read(path)[0]
    for rows, columns, value in ((0, 0, 200), (0, 11, 0), (11, 0, 0), (11, 11, 100)):
        np.testing.assert_allclose(small[rows : rows + 9, columns : columns + 9], value, atol=2)


def test_a_strip_of_one_pixel(tmp_path: Path) -> None:
    path = saved(Image.new("L", (5000, 1), "white"), tmp_path / "strip.png")
    for resize in ("crop", "stretch"):
        assert ImageForm((8, 8), grey=True, resize=resize).read(path).tolist() == [[[255] * 8] * 8]
    padded = ImageForm((8, 8), grey=True, resize="pad").read(path)
    assert padded.tolist() == [[[0] * 8] * 3 + [[255] * 8] + [[0] * 8] * 4]


def test_images_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    for content in (b"", b"GIF", b"not an image at all", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        path.write_bytes(content)
        assert error_of(path) == (
            f"{path} is not an image, or cut off in its first bytes; expected one of BMP, GIF, JPEG, MPO, PNG, PPM, "
            "TIFF, WEBP. Remove it or replace it"
        ), content


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "bmp", "tiff", "webp", "ppm"])
def test_images_cut_off_anywhere_are_refused(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"x.{kind}")
    whole = path.read_bytes()
    for length in range(0, len(whole) - 16, 23):
        path.write_bytes(whole[:length])
        assert error_of(path).startswith(f"{path} "), length


def test_damage_gives_an_image_or_a_data_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    refused = 0
    for kind in ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(noise).save(stream, kind)
        whole = stream.getvalue()
        for place in rng.integers(0, len(whole), 60):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << int(rng.integers(8))
            try:
                assert ImageForm((4, 4)).decode(bytes(damaged), "here").shape == (3, 4, 4)
            except DataError as error:
                refused += str(error).startswith("here ")
    assert refused > 50


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path = tmp_path / "bomb.png"
    for side in (10_000, 60_000):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
        )
        for action in ("error", "ignore"):  # of Pillow's own warning
            with warnings.catch_warnings():
                warnings.simplefilter(action)
                message = error_of(path)
            assert message.startswith(f"{path} is too large: ")
            assert message.endswith("; scale it down")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert error_of(tmp_path / "no.jpg") == f"{tmp_path}/no.jpg cannot be read: No such file or directory"
    assert error_of(tmp_path) == f"{tmp_path} cannot be read: Is a directory"
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    assert error_of(tmp_path / "link.jpg") == f"{tmp_path}/link.jpg cannot be read: No such file or directory"
    if os.geteuid():
        saved(Image.fromarray(GREY), tmp_path / "x.png").chmod(0)
        assert error_of(tmp_path / "x.png") == f"{tmp_path}/x.png cannot be read: Permission denied"


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError, match=r"must be \(height, width\), each at least 1, got \(0, 5\)"):
        ImageForm((0, 5))
    with pytest.raises(ConfigError, match="resize must be one of crop, stretch, pad, got 'squeeze'"):
        ImageForm(resize="squeeze")  # type: ignore[arg-type]


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.fromarray(GREY), tmp_path / "x.png")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(
        MissingExtraError, match=r'image files are read with Pillow, .*: pip install "pellucid\[data\]"'
    ):
        ImageForm().read(path)
