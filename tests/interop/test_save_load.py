from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from pellucid import Input, Network
from pellucid.errors import FileWriteError, ModelFileError
from pellucid.interop import model_file
from pellucid.layers import (
    Add,
    BatchNorm,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from pellucid.losses import CrossEntropy
from pellucid.regularizers import L1, L2


@dataclass(frozen=True)
class Doubler(Layer):
    """A user's own layer."""

    times: float = 2.0

    def output_shape(self, *input_shapes: Any) -> tuple[int, ...]:
        return input_shapes[0]

    def forward(self, params: Any, *xs: Any, **_: Any) -> tuple[Any, Any]:
        return xs[0] * self.times, None

    def backward(self, params: Any, saved: Any, dy: Any) -> tuple[Any, Any]:
        return dy * self.times, {}


def plain(**settings: Any) -> Network:
    layers = [Conv2d(3, 3, stride=2, padding="same"), ReLU(), MaxPool2d(2, name="pool"), Flatten(), Linear(4)]
    return Network(layers, (2, 9, 7), **settings)


def residual(**settings: Any) -> Network:
    block = Residual([Conv2d(4, 3, padding=1, name="conv1"), BatchNorm2d(), ReLU()], Conv2d(4, 1), name="block")
    layers = [block, Concat([Conv2d(2, 1), [Conv2d(3, 3, padding=1), ReLU()]]), Flatten(), Linear(4), BatchNorm()]
    return Network(Sequential(layers), (2, 9, 7), engine="reference", **settings)


def functional(**settings: Any) -> Network:
    x = Input((2, 9, 7))
    a = Conv2d(3, 3, name="a")(x)
    b = Doubler(3.0)(Conv2d(3, 3, groups=1, bias=False)(x))
    both = Concat()(Add()(a, b), a)
    return Network(Linear(4, weight_init="orthogonal")(Flatten()(both)), engine="reference", **settings)


NETWORKS: list[Callable[..., Network]] = [plain, residual, functional]


def images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, 2, 9, 7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("build", NETWORKS)
def test_a_network_comes_back_bit_for_bit(tmp_path: Path, build: Callable[..., Network], dtype: str) -> None:
    network = build(dtype=dtype, seed=11, input_mean=np.arange(2) / 3)
    network.loss_and_gradients(images(), [0, 1, 2, 3, 0])  # moves the running statistics on
    network.step = 42
    for name, value in network.parameters.items():
        network.parameters[name] = np.random.default_rng(len(name)).normal(size=value.shape)
    before = {name: value.tobytes() for name, value in network.tensors().items()}
    prediction = network.predict(images())

    network.save(tmp_path / "model.safetensors")
    loaded = Network.load(str(tmp_path / "model.safetensors"), engine=network.engine)

    assert {name: value.tobytes() for name, value in loaded.tensors().items()} == before
    assert list(loaded.parameters) == list(network.parameters)
    assert list(loaded.state) == list(network.state)
    assert {value.dtype for value in loaded.tensors().values()} == {np.dtype(dtype)}
    assert loaded.predict(images()).tobytes() == prediction.tobytes()
    assert loaded.input_mean is not None
    np.testing.assert_array_equal(loaded.input_mean.ravel(), (np.arange(2) / 3).astype(dtype))
    assert (loaded.seed, loaded.step, loaded.dtype.name, loaded.input_shape) == (11, 42, dtype, (2, 9, 7))
    assert [node.inputs for node in loaded.graph.nodes] == [node.inputs for node in network.graph.nodes]
    assert [repr(node.layer) for node in loaded.graph.nodes] == [repr(node.layer) for node in network.graph.nodes]


def test_running_statistics_are_in_the_file(tmp_path: Path) -> None:
    x = images(6)
    network = Network([BatchNorm2d(momentum=0.25), Flatten(), Linear(2)], (2, 9, 7), dtype="float64")
    network.loss_and_gradients(x, [0, 1, 0, 1, 0, 1])
    network.save(tmp_path / "model")
    np.testing.assert_allclose(
        Network.load(tmp_path / "model").state["0.running_mean"], 0.25 * x.mean(axis=(0, 2, 3)), rtol=1e-12
    )


def test_settings_of_loss_and_penalties_come_back(tmp_path: Path) -> None:
    plain(loss=CrossEntropy("sum", {1: 2.5}), regularization=[L2(1e-3), L1(0.5)]).save(tmp_path / "model")
    loaded = Network.load(tmp_path / "model")
    assert loaded.loss == CrossEntropy("sum", {1: 2.5})
    assert loaded.regularization == (L2(1e-3), L1(0.5))


def test_a_mean_still_to_be_taken_is_remembered(tmp_path: Path) -> None:
    plain(input_mean="pixel").save(tmp_path / "model")
    loaded = Network.load(tmp_path / "model")
    assert loaded.input_mean is None
    loaded.centre_on(images())
    assert loaded.input_mean is not None
    np.testing.assert_allclose(loaded.input_mean, images().mean(axis=0), rtol=1e-5, atol=1e-6)


def test_the_same_network_is_the_same_file(tmp_path: Path) -> None:
    plain(seed=5).save(tmp_path / "a")
    plain(seed=5).save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_pickle_holds_the_model_file(tmp_path: Path) -> None:
    network = plain(seed=3, n_jobs=2, regularization=[L2(0.1)], engine="reference")
    network.step = 7
    network.save(tmp_path / "model")
    data = pickle.dumps(network)
    assert (tmp_path / "model").read_bytes() in data

    other = pickle.loads(data)
    assert (other.describe(), other.engine, other.n_jobs) == (network.describe(), "reference", 2)
    np.testing.assert_array_equal(other.flat_parameters, network.flat_parameters)
    assert not np.shares_memory(other.flat_parameters, network.flat_parameters)


def test_a_pickle_of_a_damaged_network_is_refused() -> None:
    network = plain()
    data = pickle.dumps(network)
    weight = network.parameters["0.weight"].tobytes()
    assert data.count(weight) == 1
    damaged = data.replace(weight, weight[:-1] + bytes([weight[-1] ^ 1]))
    with pytest.raises(ModelFileError, match="a pickled network is damaged: its bytes do not match their checksum"):
        pickle.loads(damaged)


def test_a_pickled_network_of_an_unknown_layer_is_refused() -> None:
    network = Network([Doubler(), Flatten(), Linear(2)], (1, 2, 2), engine="reference")
    data = pickle.dumps(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(Layer._registry, "Doubler")
        with pytest.raises(ModelFileError, match="a pickled network: unknown layer 'Doubler'; if it is your own class"):
            pickle.loads(data)


def test_a_failed_save_says_why_and_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain().save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FileWriteError, match=r"cannot write .*/m: No space left on device"):
            plain(dtype="float64").save(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]
    assert (tmp_path / "m").read_bytes() == before
    assert Network.load(tmp_path / "m").dtype == np.float32


def test_saving_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match=r"there is no folder .*/no; create it first"):
        plain().save(tmp_path / "no" / "model.safetensors")


def error_of(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        Network.load(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path)).lstrip(": ")


# Whole files that describe what this version does not know.


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> str:
    """Save a small model with a changed description or tensors, and return the error of loading it."""
    network = Network([Flatten(), Linear(2)], (1, 2, 2), seed=1)
    description, tensors = network.describe(), dict(network.tensors())
    change(description, tensors)
    model_file.write(path, description, tensors)
    return error_of(path)


def test_unknown_format_number(tmp_path: Path) -> None:
    assert rewrite(tmp_path / "m", lambda d, t: d.update(format=2)) == "format 2 is not known; this version reads 1"


def test_unknown_layer(tmp_path: Path) -> None:
    def change(description: dict[str, Any], _: Any) -> None:
        description["network"]["layers"][1]["layer"]["type"] = "Capsule"

    assert rewrite(tmp_path / "m", change) == (
        "unknown layer 'Capsule'; if it is your own class, import the module that defines it before loading"
    )


def test_unknown_setting(tmp_path: Path) -> None:
    def change(description: dict[str, Any], _: Any) -> None:
        description["network"]["layers"][1]["layer"]["colour"] = "red"

    assert "Linear has no setting 'colour'; it has bias," in rewrite(tmp_path / "m", change)


def test_missing_tensor(tmp_path: Path) -> None:
    assert rewrite(tmp_path / "m", lambda d, t: t.pop("1.bias")) == (
        "the file lacks 1.bias: its tensors are not those of the network it describes"
    )


def test_extra_and_missing_tensors(tmp_path: Path) -> None:
    def change(_: Any, tensors: dict[str, np.ndarray]) -> None:
        tensors["2.weight"] = tensors.pop("1.weight")

    assert rewrite(tmp_path / "m", change) == (
        "the file lacks 1.weight and has unknown 2.weight: its tensors are not those of the network it describes"
    )


def test_wrong_shape(tmp_path: Path) -> None:
    def change(_: Any, tensors: dict[str, np.ndarray]) -> None:
        tensors["1.weight"] = np.zeros((4, 2), np.float32)

    assert rewrite(tmp_path / "m", change) == "tensor '1.weight' is float32[4, 2], the network needs float32[2, 4]"


def test_wrong_dtype(tmp_path: Path) -> None:
    def change(_: Any, tensors: dict[str, np.ndarray]) -> None:
        tensors["1.weight"] = np.zeros((2, 4), np.float64)

    assert rewrite(tmp_path / "m", change) == "tensor '1.weight' is float64[2, 4], the network needs float32[2, 4]"


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a JSON value, as its container and key."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from leaves(item)


def test_a_nonsense_description_loads_or_is_refused_but_never_crashes(tmp_path: Path) -> None:
    network = Network(
        [Conv2d(2, 2), Residual([Conv2d(2, 1)]), Flatten(), Linear(2)],
        (1, 3, 3),
        loss=CrossEntropy("sum", {0: 2.0}),
        regularization=[L2(0.1)],
        input_mean="pixel",
        engine="reference",
    )
    tensors = network.tensors()
    nonsense: list[Any] = [
        None,
        True,
        -1,
        0,
        10**30,
        0.5,
        float("inf"),
        float("nan"),
        "x",
        [],
        {},
        [[]],
        {"type": "Add"},
    ]
    places = len(list(leaves(network.describe())))
    refused = loaded = 0
    for position in range(places):
        for value in nonsense:
            description = json.loads(json.dumps(network.describe()))
            container, key = list(leaves(description))[position]
            container[key] = value
            model_file.write(tmp_path / "m", description, tensors)
            try:
                Network.load(tmp_path / "m", engine="reference")
                loaded += 1
            except ModelFileError:
                refused += 1
    assert loaded + refused == places * len(nonsense) > 400
    assert refused > 4 * loaded
