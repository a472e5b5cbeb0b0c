"""What is far too large for the machine is refused before anything of it is allocated."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_nets import NETS

import pellucid.layers
from pellucid import Network, machine
from pellucid.engine import room
from pellucid.engine.program import WIDE
from pellucid.engine.threads import threads
from pellucid.errors import EngineError, EngineWarning, ModelFileError, PellucidError, TooLargeError
from pellucid.graph import Graph
from pellucid.layers import BatchNorm, BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Layer, Linear, ReLU

GIB = 2**30


@pytest.fixture(autouse=True)
def _of_four_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 4 * GIB)


TOO_LARGE: list[tuple[list[Layer], tuple[int, ...], str]] = [
    # 10¹⁸ weights and 10⁹ biases, of 4 bytes, and 8 while they are drawn
    (
        [Linear(10**9)],
        (10**9,),
        r"the network's 1,000,000,001,000,000,000 parameters would take 10\.41 EiB, and there are 4 GiB in all; "
        r"layer '0' Linear\(1000000000\) has most of them, 1,000,000,001,000,000,000: make it smaller, or pool before",
    ),
    ([Linear(2), Linear(10**12)], (3,), r"3,000,000,000,008 parameters would .* layer '1' Linear\(1000000000000\)"),
    ([Flatten(), Linear(10)], (10**4, 10**4, 10**4), r"layer '1' Linear\(10\) has most of them, 10,000,000,000,010"),
    ([Conv2d(10**5, 10**3), Flatten()], (3, 10**3, 10**3), r"layer '0' Conv2d\(.*has most of them, 300,000,100,000:"),
    ([Conv2d(2, 10**7, padding=10**7), Flatten()], (1, 9, 9), r"layer '0' .*most of them, 200,000,000,000,002"),
    # one sample: 3·1000² + 10⁶·998² numbers of 4 bytes
    (
        [Conv2d(10**6, 3), GlobalAvgPool2d()],
        (3, 1000, 1000),
        r"one sample in layer '0' Conv2d\(1000000, 3\), \(3, 1000, 1000\) → \(1000000, 998, 998\), would take 3\.623 "
        r"TiB, and there are 4 GiB in all; make the layer smaller, use a larger stride, or pool before it",
    ),
    ([ReLU(), GlobalAvgPool2d()], (1, 10**6, 10**6), r"one sample in layer '0' ReLU\(\)"),
    ([Conv2d(1, 1, padding=10**6), Flatten()], (1, 9, 9), r"one sample in layer '0' Conv2d\(1, 1, padding=1000000\)"),
]


@pytest.mark.parametrize("engine", ["auto", "native", "reference"])
@pytest.mark.parametrize(("layers", "shape", "message"), TOO_LARGE)
def test_networks_that_no_memory_holds(layers: list[Layer], shape: tuple[int, ...], message: str, engine: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(TooLargeError, match=message) as raised:
        Network(layers, shape, engine=engine)
    assert isinstance(raised.value, MemoryError)
    assert isinstance(raised.value, PellucidError)
    assert time.perf_counter() - begun < 1  # nothing has been drawn


def test_what_just_fits_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1000·1000 weights and 1000 biases: 4 bytes each, and 8 while they are drawn
    need = 1000 * 1001 * 12
    monkeypatch.setattr(machine, "memory", lambda: need)
    assert Network([Linear(1000)], (1000,), engine="reference").flat_parameters.size == 1000 * 1001
    monkeypatch.setattr(machine, "memory", lambda: need - 1)
    with pytest.raises(TooLargeError, match=r"1,001,000 parameters would take 11\.46 MiB"):
        Network([Linear(1000)], (1000,), engine="reference")


def test_a_system_that_does_not_tell_its_memory_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: None)
    room.require_room(10**30, "a batch", "")
    monkeypatch.setattr(machine, "memory", lambda: 10**30 - 1)
    with pytest.raises(TooLargeError, match="a batch would take"):
        room.require_room(10**30, "a batch", "")


def test_a_block_of_16_that_does_not_fit() -> None:
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    # y takes 16·64·512² numbers of 4 bytes, 1 GiB. Kept until the way back are three of them, and then there are two δ.
    layers: list[Layer] = [Conv2d(64, 3, padding=1), ReLU()] * 3
    layers += [Conv2d(64, 3, padding=1), GlobalAvgPool2d()]
    message = (
        r"16 samples at once, as the native engine takes them, would take 5\.\d+ GiB, and there are 4 GiB in all; "
        r"layer '0' Conv2d\(64, 3, padding=1\) has the largest output, \(64, 512, 512\): make it smaller, or use engine"
    )
    with pytest.raises(TooLargeError, match=message):
        Network(layers, (1, 512, 512), engine="native")
    with pytest.warns(EngineWarning, match=message):
        assert Network(layers, (1, 512, 512)).engine == "reference"


def test_what_the_kernels_cannot_count_is_for_the_reference_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    layers = [Conv2d(1, 3, 2**31), Flatten()]
    with pytest.raises(EngineError, match=r"conv step has 2,147,483,648 numbers in one of .* counts to 1,073,741,824"):
        Network(layers, (1, 9, 9), engine="native")
    with pytest.warns(EngineWarning, match=r"a conv step has 2,147,483,648 numbers"):
        network = Network(layers, (1, 9, 9))
    assert (network.engine, network.forward(np.ones((2, 1, 9, 9))).shape) == ("reference", (2, 1))
    monkeypatch.setattr(machine, "memory", lambda: 2**60)
    with pytest.raises(EngineError, match=r"activation step has 1,210,000,000 numbers"):
        Network([ReLU(), Flatten()], (10, 11_000, 11_000), engine="native")


# Batches.


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_batch_size_beyond_the_samples_is_all_of_them(engine: str) -> None:
    if engine == "native":
        pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    network, x = Network([Linear(2)], (3,), engine=engine), np.random.default_rng(0).normal(size=(40, 3))
    expected = x @ network.parameters["0.weight"].T
    np.testing.assert_allclose(network.forward(x, batch_size=10**12), expected, rtol=1e-5, atol=1e-6)
    assert network.fit(x, np.arange(40) % 2, epochs=1, batch_size=10**12, verbose=0).stopped is None


def without_memory(samples: int, shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    """Return many samples that are one in memory."""
    return np.broadcast_to(dtype(1), (samples, *shape))


def test_batches_that_no_memory_holds_on_the_reference_engine() -> None:
    network = Network([Conv2d(1, 3), Flatten()], (1, 100, 100), engine="reference")
    x = without_memory(10**6, (1, 100, 100))
    # what the convolution reads and writes, 100² + 98² numbers of 4 bytes
    message = (
        r"a batch of 1,000,000 samples would take 73\.03 GiB, and there are 4 GiB in all; use a smaller batch_size"
    )
    with pytest.raises(TooLargeError, match=message):
        network.forward(x, batch_size=10**12)
    with pytest.raises(TooLargeError, match=message):
        network.batch_gradient(x, without_memory(10**6, (98 * 98,), np.float32))


def test_batches_that_no_memory_holds_on_the_native_engine() -> None:
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    network = Network([Conv2d(500, 60), Flatten()], (1, 60, 60), engine="native", n_jobs=1)
    # each of 600 blocks has gradients of its own, 500·60² + 500 numbers: 4.024 GiB; one block is in progress; outputs
    assert threads(1) == 1
    x = without_memory(16 * 600, (1, 60, 60))
    with pytest.raises(
        TooLargeError, match=r"a batch of 9,600 samples would take 4\.049 GiB, and .*smaller batch_size"
    ):
        network.batch_gradient(x, without_memory(16 * 600, (500,), np.float32))
    with pytest.raises(TooLargeError, match=r"a batch of 10,000,000 samples would take 18\.63 GiB"):
        network.forward(without_memory(10**7, (1, 60, 60)), batch_size=10**12)
    assert network.forward(x[:3]).shape == (3, 500)


def test_a_linear_layer_takes_no_gradients_for_every_block() -> None:
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    network = Network([Linear(200)], (10**4,), engine="native", n_jobs=1)
    program, parameters = network._native.program, network.flat_parameters.size
    need = [program.bytes_of(16 * blocks, 1, parameters, training=True) for blocks in (2, 3)]
    # x, in tiles of 64 channels, and δ of 16 samples, and the gradients of 200 biases
    assert need[1] - need[0] == (157 * 64 + 200) * 64 + 200 * 4


def test_what_a_batch_takes_by_the_networks_kind() -> None:
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

    def need(layers: list[Layer], parameters: int, *, training: bool = True) -> list[float]:
        """Return the bytes for 5, 16, 17 and 100 samples on 2 threads, in blocks of 16."""
        program = Network(layers, (3, 40, 40), engine="native")._native.program
        packed = program.bytes_of(0, 1, 0, training=training)
        block = program.bytes_of(16, 1, 0, training=training) - packed
        return [(program.bytes_of(n, 2, parameters, training=training) - packed) / block for n in (5, 16, 17, 100)]

    plain: list[Layer] = [Conv2d(4, 3), Flatten()]
    # Threads have a block each; with batch norm, every block of the batch waits for the others.
    assert need(plain, 0) == [1, 1, 2, 2]
    normed: list[Layer] = [Conv2d(4, 3), BatchNorm2d(), Flatten()]
    assert need(normed, 8) == [1, 1, 2, 7]
    assert need(normed, 0, training=False) == [1, 1, 2, 2]
    # With many parameters all threads work on one block. A set of gradients of its own is needed only where a block
    # goes back before the loss of the batch is known: then they are not yet written where they are wanted.
    program = Network(plain, (3, 40, 40), engine="native")._native.program
    packed = 4 * 4 * 3 * 3 * 3
    assert program.bytes_of(0, 1, 0, training=True) == packed
    block = program.bytes_of(16, 1, 0, training=True) - packed
    assert need(plain, WIDE) == [1, 1, 1 + 4 * WIDE / block, 1 + 4 * WIDE / block]
    assert need(plain, WIDE - 1)[1:] == [1, 2 + 2 * 4 * (WIDE - 1) / block, 2 + 7 * 4 * (WIDE - 1) / block]
    assert need(normed, WIDE) == [1, 1, 2, 7]
    assert need(plain, WIDE, training=False) == [1] * 4


def test_a_file_that_describes_such_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network([Linear(100)], (100,))
    network.save(tmp_path / "net.safetensors")
    monkeypatch.setattr(machine, "memory", lambda: 1000)
    with pytest.raises(
        ModelFileError, match=r"net\.safetensors: the network's 10,100 parameters would take 118\.4 KiB"
    ):
        Network.load(tmp_path / "net.safetensors")


# What a layer says that it needs, against what it makes.


@dataclass(frozen=True)
class Gain(Layer):
    """A layer of a user's, who said nothing of its parameters."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def init_params(self, input_shape: tuple[int, ...], rng: Any) -> dict[str, np.ndarray]:
        return {"gain": np.ones(input_shape)}


COUNTED: dict[str, tuple[list[Layer], tuple[int, ...]]] = {
    **NETS,
    "batch norm": ([BatchNorm2d(), BatchNorm(), Conv2d(4, 3, groups=2, bias=False), BatchNorm()], (2, 5, 6)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_layers_count_their_parameters(name: str) -> None:
    for node in Graph(*COUNTED[name]).nodes:
        made = node.layer.init_params(node.input_shapes[0], np.random.default_rng(0))
        assert node.layer.parameter_count(*node.input_shapes) == sum(value.size for value in made.values())


def test_every_layer_that_makes_parameters_counts_them() -> None:
    for name in pellucid.layers.__all__:
        layer = getattr(pellucid.layers, name)
        if isinstance(layer, type) and issubclass(layer, Layer) and layer.init_params is not Layer.init_params:
            assert layer.parameter_count is not Layer.parameter_count, name
    assert Gain().parameter_count((3,)) == 0
    assert Network([Gain()], (3,), engine="reference").flat_parameters.tolist() == [1, 1, 1]


# Memory that runs out all the same: the process is given little.

SHORT = """
import resource, sys
import numpy as np
from pellucid import Network
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d

network = Network([Conv2d(64, 3), MaxPool2d(2), Flatten(), Linear(10)], (1, 64, 64), engine="native", n_jobs=2)
x = np.random.default_rng(0).normal(size=(320, 1, 64, 64)).astype(np.float32)
y = np.arange(320) % 10
before = network.forward(x[:16])
weights = network.flat_parameters.copy()
_, gradients = network.loss_and_gradients(x[:16], y[:16])

def allow(more):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, resource.RLIM_INFINITY))

for run in (
    lambda: network.forward(x, batch_size=320),
    lambda: network.loss_and_gradients(x, y),
    lambda: network.fit(x, y, batch_size=320, epochs=1, verbose=0),
):
    allow(2**20 * 8)
    try:
        run()
    except MemoryError as error:
        print(f"{type(error).__name__}: {error}")
    assert (network.flat_parameters == weights).all()
    assert (network.forward(x[:16]) == before).all()
_, again = network.loss_and_gradients(x[:16], y[:16])
assert all((again[name] == gradients[name]).all() for name in gradients)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert network.forward(x, batch_size=320).shape == (320, 10)
print("alive")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know how much memory is in use")
def test_memory_that_runs_out_in_a_native_call_is_an_error_and_the_network_goes_on() -> None:
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    done = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *native, trained, end = done.stdout.splitlines()
    assert native == ["TooLargeError: there is no memory left for a batch of 320 samples; use a smaller batch_size"] * 2
    assert "Unable to allocate" in trained or trained == native[0]  # NumPy may be the first to ask for some
    assert end == "alive"
