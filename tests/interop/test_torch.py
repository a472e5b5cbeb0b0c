from __future__ import annotations

import io
import pickle
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from pellucid import Network
from pellucid.errors import DataError, FileWriteError, MissingExtraError, ModelFileError, ShapeError
from pellucid.interop.torch import from_module, load_state_dict, save_state_dict, state_dict, to_module
from pellucid.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, ReLU

NAMES = [
    *("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"),
    *("fc.weight", "fc.bias"),
]


def network(dtype: str = "float32") -> Network:
    layers = [
        Conv2d(3, 3, bias=False, name="conv1"),
        BatchNorm2d(name="bn1"),
        ReLU(),
        GlobalAvgPool2d(),
        Linear(2, name="fc"),
    ]
    return Network(layers, (2, 5, 5), dtype=dtype, engine="reference")


def weights(dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    shapes = {"conv1.weight": (3, 2, 3, 3), "fc.weight": (2, 3), "fc.bias": (2,)}
    drawn = {name: rng.random(shapes.get(name, (3,))).astype(dtype) for name in NAMES}
    return drawn | {"bn1.num_batches_tracked": np.array(41)}


def error_of(source: object, net: Network | None = None) -> str:
    """Return what is told, having seen that the network stayed as it was."""
    net = net or network()
    before = net.flat_parameters.copy(), {name: value.copy() for name, value in net.state.items()}
    with pytest.raises((ModelFileError, ShapeError, DataError)) as caught:
        load_state_dict(net, source)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(net.flat_parameters, before[0])
    for name, value in net.state.items():
        np.testing.assert_array_equal(value, before[1][name])
    return f"{type(caught.value).__name__}: {caught.value}"


def test_names_shapes_and_dtypes_are_pytorchs() -> None:
    net = network()
    net.loss_and_gradients(np.ones((2, 2, 5, 5)), [0, 1])
    found = state_dict(net)
    assert sorted(found) == sorted(NAMES)
    assert {name: value.dtype.name for name, value in found.items()} == {
        name: "int64" if name.endswith("tracked") else "float32" for name in NAMES
    }
    assert (found["bn1.num_batches_tracked"].shape, int(found["bn1.num_batches_tracked"])) == ((), 1)
    found["conv1.weight"][...] = 0
    found["bn1.running_var"][...] = 0
    assert net.parameters["conv1.weight"].all()
    assert net.state["bn1.running_var"].all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_mapping_is_copied_in(dtype: str) -> None:
    given = weights(dtype)
    net = network("float64")
    load_state_dict(net, given)
    for name in ("conv1.weight", "bn1.weight", "bn1.bias", "fc.weight", "fc.bias"):
        np.testing.assert_array_equal(net.parameters[name], given[name].astype(np.float64))
    for name in ("bn1.running_mean", "bn1.running_var"):
        np.testing.assert_array_equal(net.state[name], given[name].astype(np.float64))
    np.testing.assert_array_equal(net.state["bn1.num_batches"], [41.0])
    given["fc.bias"][...] = np.nan
    assert np.isfinite(net.parameters["fc.bias"]).all()


def test_the_numbers_take_effect() -> None:
    net = network("float64")
    given = weights("float64")
    load_state_dict(net, given)
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 5))
    a = np.empty((3, 3, 3))
    for f, u, v in np.ndindex(a.shape):
        a[f, u, v] = (given["conv1.weight"][f] * x[0, :, u : u + 3, v : v + 3]).sum()
    mean, variance = given["bn1.running_mean"][:, None, None], given["bn1.running_var"][:, None, None]
    h = given["bn1.weight"][:, None, None] * (a - mean) / np.sqrt(variance + 1e-5) + given["bn1.bias"][:, None, None]
    expected = given["fc.weight"] @ np.maximum(h, 0).mean(axis=(1, 2)) + given["fc.bias"]
    np.testing.assert_allclose(net.forward(x)[0], expected, rtol=1e-12)


def test_awkward_arrays() -> None:
    given = weights()
    backwards = np.ascontiguousarray(given["conv1.weight"][..., ::-1])[..., ::-1]
    backwards.flags.writeable = False
    big_endian = given["fc.weight"].astype(">f4", order="F")
    net = network()
    load_state_dict(net, {**given, "conv1.weight": backwards, "fc.weight": big_endian, "fc.bias": [0.5, -2]})
    np.testing.assert_array_equal(net.parameters["conv1.weight"], given["conv1.weight"])
    np.testing.assert_array_equal(net.parameters["fc.weight"], given["fc.weight"])
    np.testing.assert_array_equal(net.parameters["fc.bias"], [0.5, -2])


@pytest.mark.parametrize("as_text", [False, True])
def test_a_file_of_another_program(tmp_path: Path, as_text: bool) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(weights(), path, {"format": "pt"})
    net = network()
    load_state_dict(net, str(path) if as_text else path)
    np.testing.assert_array_equal(net.parameters["fc.weight"], weights()["fc.weight"])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    net, other = network(), network()
    net.loss_and_gradients(np.random.default_rng(1).random((4, 2, 5, 5)), [0, 1, 1, 0])
    net.parameters["fc.bias"] = [3, 4]
    save_state_dict(net, tmp_path / "w.safetensors")
    load_state_dict(other, tmp_path / "w.safetensors")
    x = np.random.default_rng(2).random((3, 2, 5, 5))
    np.testing.assert_array_equal(other.forward(x), net.forward(x))
    read = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert sorted(read) == sorted(NAMES)
    np.testing.assert_array_equal(read["fc.bias"], np.array([3, 4], np.float32))
    assert read["bn1.num_batches_tracked"] == np.array(1)
    with pytest.raises(FileWriteError, match="there is no folder"):
        save_state_dict(net, tmp_path / "no" / "w.safetensors")


def test_modules_need_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    told = 'needs PyTorch, which cannot be imported .*: pip install "torch"'
    with pytest.raises(MissingExtraError, match="from_module " + told):
        from_module(object(), (1,))
    with pytest.raises(MissingExtraError, match="to_module " + told):
        to_module(network())


def test_counts_of_batches_may_be_missing() -> None:
    net = network()
    net.loss_and_gradients(np.ones((2, 2, 5, 5)), [0, 1])
    given = weights()
    del given["bn1.num_batches_tracked"]
    load_state_dict(net, given)
    np.testing.assert_array_equal(net.state["bn1.num_batches"], [1.0])


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    given = weights()
    renamed = {f"module.{name}": value for name, value in given.items()}
    assert error_of(renamed).startswith(
        "ModelFileError: the state dict lacks conv1.weight, bn1.weight, bn1.bias, and 4 more and has unknown "
        "module.conv1.weight, module.bn1.weight, module.bn1.bias, and 5 more: its names are not those of the network's"
    )
    assert "has unknown aux.weight: its names" in error_of({**given, "aux.weight": given["fc.weight"]})
    del given["bn1.running_var"]
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(given, path)
    assert error_of(path).startswith(f"ModelFileError: {path} lacks bn1.running_var: its names")


def test_shapes_that_do_not_fit() -> None:
    given = weights()
    assert error_of({**given, "fc.weight": np.ones((3, 2))}) == (
        "ShapeError: the state dict does not fit: fc.weight is [3, 2], the network's [2, 3]"
    )
    assert error_of({name: np.ones(1) for name in given}) == (
        "ShapeError: the state dict does not fit: conv1.weight is [1], the network's [3, 2, 3, 3]; bn1.weight is [1], "
        "the network's [3]; bn1.bias is [1], the network's [3]; and 5 more"
    )
    assert "fc.bias is [0], the network's [2]" in error_of({**given, "fc.bias": np.ones(0)})


def test_values_that_do_not_fit() -> None:
    given = weights()
    assert "'fc.bias': the new values contain NaN" in error_of({**given, "fc.bias": np.array([1, np.nan])})
    assert "'fc.bias' must be real numbers, got dtype complex128" in error_of({**given, "fc.bias": np.ones(2) * 1j})
    assert error_of({**given, "fc.bias": [[1.0], [2.0, 3.0]]}).startswith(
        "DataError: 'fc.bias' cannot be made into an array:"
    )

    class OnAnotherDevice:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    told = error_of({**given, "fc.bias": OnAnotherDevice()})
    assert told == "DataError: 'fc.bias' cannot be made into an array: can't convert cuda:0 device type tensor to numpy"


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".pkl"])
def test_pickles_are_refused_unread(tmp_path: Path, suffix: str) -> None:
    told = error_of(tmp_path / f"resnet50{suffix}")  # not even there
    assert re.match(
        r"ModelFileError: .*resnet50\.\w+ looks like a pickle, which can run any code when it is read", told
    )
    assert f'save_file(torch.load("{tmp_path}/resnet50{suffix}", weights_only=True)' in told
    assert f'"{tmp_path}/resnet50.safetensors")' in told


def test_a_pickle_under_another_name(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.pkl", pickle.dumps({}))
    (tmp_path / "w.safetensors").write_bytes(archive.getvalue())
    assert "is cut off, or is not a model file" in error_of(tmp_path / "w.safetensors")


def test_no_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "w.safetensors").endswith("w.safetensors: there is no such file")
