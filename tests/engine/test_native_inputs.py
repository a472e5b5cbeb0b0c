"""Arrays of every type and layout, as they come from files and other libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import awkward, misaligned
from native_nets import RNG, build
from rounding import assert_within_rounding

from pellucid import Network
from pellucid.errors import DataError
from pellucid.layers import Conv2d, Flatten, Linear, ReLU

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

LAYERS = [Conv2d(4, 3), ReLU(), Flatten(), Linear(3)]
SHAPE = (2, 5, 6)
N = 18
LABELS = RNG(8).integers(0, 3, N)

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned": lambda x: np.ascontiguousarray(x[::-1, :, ::-1, ::-1])[::-1, :, ::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=3)[::2, :, :, ::3],
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "fortran": np.asfortranarray,
    "swapped": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "misaligned": misaligned,
    "misaligned and swapped": lambda x: misaligned(x.astype(x.dtype.newbyteorder(">"))),
    "bytes of a file": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "a subclass": lambda x: x.view(np.memmap),
    "a list": lambda x: x.tolist(),
}


def network(**settings: Any) -> Network:
    return build(LAYERS, SHAPE, **settings)


def pixels(kind: Any) -> np.ndarray:
    return RNG(8).integers(0, 2 if kind == "?" else 100, (N, *SHAPE)).astype(kind)


def assert_same_bits(given: Any, x: np.ndarray, y: Any = LABELS) -> None:
    """Hold what a network makes of an array in whatever form against what it makes of the plain one."""
    net = network()
    np.testing.assert_array_equal(np.asarray(given), x)
    np.testing.assert_array_equal(net.forward(given), net.forward(x))
    loss, gradients = net.loss_and_gradients(x, LABELS)
    again, others = net.loss_and_gradients(given, y)
    assert again == loss
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(others[name], gradient, err_msg=name)


@pytest.mark.parametrize(
    "kind",
    ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g"],
)
def test_numbers_of_every_type(kind: str) -> None:
    # Only uint8 is divided by 255, everything else is taken as it is.
    assert_within_rounding(network(), pixels(kind), LABELS)
    plain = pixels(kind).astype(np.float32)
    if kind != "u1":
        np.testing.assert_array_equal(network().forward(pixels(kind)), network().forward(plain))
    else:
        np.testing.assert_allclose(
            network().forward(pixels(kind)), network().forward(plain / 255), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_every_layout_give_the_same_bits(name: str, kind: Any) -> None:
    x = pixels(kind)
    if name == "a list":
        x = x.astype(np.int64 if kind is not np.float32 else np.float64)
    before = LAYOUTS[name](x)
    if isinstance(before, np.ndarray):
        before.flags.writeable = False
    assert_same_bits(before, x)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.dtype(">f4"), np.dtype(">f8")])
def test_files_mapped_into_memory(kind: Any, tmp_path: Path) -> None:
    x = pixels(kind)
    (tmp_path / "x").write_bytes(b"header!" + x.tobytes())
    assert_same_bits(np.memmap(tmp_path / "x", kind, "r", 7, x.shape), x)
    np.save(tmp_path / "x.npy", x)
    assert_same_bits(np.load(tmp_path / "x.npy", mmap_mode="r"), x)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_what_lies_between_the_numbers_is_not_read(kind: Any) -> None:
    x = pixels(kind)
    assert_same_bits(awkward(x), x)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name not in ("channels last", "turned", "strided")])
def test_labels_and_targets_of_every_layout(name: str) -> None:
    x = pixels(np.float32)
    for kind in (np.int8, np.uint16, np.int64, np.float64):
        assert_same_bits(x, x, LAYOUTS[name](LABELS.astype(kind)))
    targets = np.eye(3, dtype=np.float32)[LABELS]
    for kind in (np.float32, np.float64, np.int32):
        assert_same_bits(x, x, LAYOUTS[name](targets.astype(kind)))
    assert_same_bits(x, x, awkward(targets))
    assert_same_bits(x, x, np.asfortranarray(targets[::-1])[::-1])


def test_weights_of_samples_of_every_layout() -> None:
    x, net = pixels(np.float32), network()
    weight = RNG(9).integers(1, 5, N)
    expected = net.loss_and_gradients(x, LABELS, sample_weight=weight.astype(np.float64))
    for given in (weight, weight.astype(">f4"), misaligned(weight.astype(np.float32)), awkward(weight.astype(float))):
        value, gradients = net.loss_and_gradients(x, LABELS, sample_weight=given)
        assert value == expected[0]
        assert all((gradients[key] == expected[1][key]).all() for key in gradients)


def test_parameters_assigned_from_every_layout() -> None:
    x, net = pixels(np.float32), network()
    weight = RNG(10).integers(-2, 3, (3, 48)).astype(np.float32)
    net.parameters["3.weight"] = weight
    expected = net.forward(x)
    for given in (
        weight.astype(">f8"),
        misaligned(weight),
        awkward(weight),
        np.asfortranarray(weight),
        weight.tolist(),
    ):
        net.parameters["3.weight"][...] = 0
        net.parameters["3.weight"] = given
        np.testing.assert_array_equal(net.forward(x), expected)


@pytest.mark.parametrize("mean", [misaligned, awkward, np.asfortranarray, lambda x: x.astype(">f4")])
def test_means_of_every_layout(mean: Callable[[np.ndarray], np.ndarray]) -> None:
    plain = RNG(11).uniform(size=SHAPE).astype(np.float32)
    expected = network(input_mean=plain).forward(pixels(np.float32))
    np.testing.assert_array_equal(network(input_mean=mean(plain)).forward(pixels(np.float32)), expected)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, *SHAPE), np.complex64), "images must be real numbers, got dtype complex64"),
        (np.ones((2, *SHAPE), object), "images must be real numbers, got dtype object"),
        (np.ones((2, *SHAPE), "datetime64[s]"), r"images must be real numbers, got dtype datetime64\[s\]"),
        (np.ones((2, *SHAPE), "S1"), "images must be real numbers"),
        (np.ones((2, *SHAPE), [("a", "f4")]), "images must be real numbers"),
        ([[1.0, 2.0], [3.0]], "images cannot be made into one array"),
        (np.empty((0, *SHAPE), np.uint8), "there are no samples"),
        (np.full((2, *SHAPE), np.inf, ">f4"), "sample 0 contains NaN or infinity"),
        (np.full((2, *SHAPE), 1e300), "sample 0 holds numbers too large for float32"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")) or None,
)
def test_what_no_network_takes(x: Any, message: str) -> None:
    for use in (network().forward, network().predict, lambda x: network().loss_and_gradients(x, [0] * len(x))):
        with pytest.raises(DataError, match=message):
            use(x)


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 5), (1, 4, 4), (1, 1, 17), (2, 7, 5), (1, 6, 8)])
def test_every_pixel_comes_to_its_place(shape: tuple[int, ...], kind: Any, n_jobs: int) -> None:
    # A kernel that hands on the pixel in its middle, in maps with a border; 16 pixels are laid down at a time.
    mean = RNG(9).normal(size=shape).astype(np.float32)
    net = Network([Conv2d(shape[0], 3, padding=1, groups=shape[0]), Flatten()], shape, engine="native", input_mean=mean)
    net.n_jobs = n_jobs
    net.parameters["0.weight"][...] = np.eye(9, dtype=np.float32)[4].reshape(3, 3)
    net.parameters["0.bias"][...] = 0
    x = RNG(8).integers(0, 256, (40, *shape)).astype(kind)
    scaled = x / np.float32(255) if kind == np.uint8 else x
    np.testing.assert_array_equal(net.forward(x), (scaled - mean).reshape(40, -1))
