"""Networks as C against their own layers' NumPy in float64, and the C itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from math import prod
from pathlib import Path

import numpy as np
import pytest
from c_programs import CNetwork, compile_c, needs_compiler
from native_nets import JOINED, NETS
from rounding import UNIT
from zoo_graphs import graph_of, narrowed

from pellucid import Network, zoo
from pellucid.errors import DataError, ExportError, FileWriteError
from pellucid.interop.c_source import write_c
from pellucid.layers import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Input,
    Layer,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.losses import SquaredError

pytestmark = needs_compiler
RNG = np.random.default_rng
LOSSES = ("squared_error", "cross_entropy", "log_loss")


def moved(network: Network, seed: int = 0) -> Network:
    """Give biases, batch norms and running statistics numbers that matter."""
    rng = RNG(seed)
    for name, value in (*network.parameters.items(), *network.state.items()):
        if name.endswith(("running_var", "num_batches")):
            value[...] = rng.uniform(0.5, 2, value.shape)
        elif name.endswith(("bias", "running_mean")):
            value[...] = rng.normal(size=value.shape) / 3
        elif value.ndim != 4 and not name.endswith(".weight"):
            value[...] = rng.uniform(0.5, 1.5, value.shape)
    return network


def roundings(network: Network) -> int:
    """Return how many numbers are added up, one behind the other, for a number of the output."""
    nodes = network.graph.nodes
    return sum(node.layer.multiply_adds(*node.input_shapes) // prod(node.shape) + 4 for node in nodes)


def assert_same(network: Network, folder: Path, x: np.ndarray) -> CNetwork:
    """Hold what the C computes against the network in float64: rounding grows with the root of what is added up."""
    compiled = CNetwork(network, folder)
    expected = network.copy(dtype="float64").predict(x)
    slack = 8 * UNIT * np.sqrt(roundings(network)) * max(1.0, float(abs(expected).max()))
    np.testing.assert_allclose(compiled.predict(x), expected, rtol=0, atol=slack)
    return compiled


@pytest.mark.parametrize("name", [*NETS, *JOINED])
def test_every_layer(name: str, tmp_path: Path) -> None:
    layers, shape = (NETS | JOINED)[name]
    loss = LOSSES[len(name) % 3]
    network = moved(Network(layers, shape, loss=loss, engine="reference", seed=3))
    assert_same(network, tmp_path, RNG(1).normal(size=(3, *shape)).astype(np.float32))


@pytest.mark.parametrize(
    "build",
    [
        zoo.nguyen,
        zoo.lenet5,
        zoo.digits,
        zoo.grishin,
        lambda **s: zoo.grishin(batch_norm=True, column_major=True, **s),
        lambda **s: Network(narrowed(graph_of(zoo.resnet_cifar, 20), 4), **s),
    ],
    ids=["nguyen", "lenet5", "digits", "grishin", "grishin, batch norm", "resnet20_cifar, narrowed"],
)
def test_small_networks_of_the_zoo(build, tmp_path: Path) -> None:
    network = moved(build(engine="reference"))
    pixels = RNG(2).integers(0, 256, (2, *network.input_shape), np.uint8)
    compiled = assert_same(network, tmp_path, pixels)
    floats = (pixels / 255).astype(np.float32)
    np.testing.assert_array_equal(compiled.predict(floats), compiled.predict(pixels))


@pytest.mark.parametrize("per", [(3, 1, 1), (3, 5, 4)])
def test_the_mean_is_taken_off(per: tuple[int, ...], tmp_path: Path) -> None:
    mean = RNG(0).random(per)
    layers = [Conv2d(4, 3), Tanh(), Flatten(), Linear(3)]
    network = Network(layers, (3, 5, 4), input_mean=mean, engine="reference")
    pixels = RNG(1).integers(0, 256, (4, 3, 5, 4), np.uint8)
    compiled = assert_same(network, tmp_path, pixels)
    assert_same(network, tmp_path, RNG(2).normal(size=(4, 3, 5, 4)).astype(np.float32))
    without = Network(layers, (3, 5, 4), engine="reference").copy(dtype="float64")
    centred = pixels / 255 - mean
    np.testing.assert_allclose(compiled.predict(pixels), without.predict(centred), atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([Flatten()], (2, 3, 1)),
        ([Dropout(0.5), Flatten(), Dropout(0.1)], (2, 1, 2)),
        ([Linear(3)], (4,)),
        ([Conv2d(3, 2)], (1, 4, 5)),
        ([ReLU()], (3,)),
    ],
)
def test_networks_of_next_to_nothing(layers: list[Layer], shape: tuple[int, ...], loss: str, tmp_path: Path) -> None:
    network = moved(Network(layers, shape, loss=loss, engine="reference"))
    x = RNG(3).normal(size=(2, *shape)).astype(np.float32)
    before = x.copy()
    assert_same(network, tmp_path, x)
    np.testing.assert_array_equal(x, before)  # what comes in is read, never written to
    assert_same(network, tmp_path, RNG(4).integers(0, 256, x.shape, np.uint8))


def test_values_that_are_read_again_are_kept(tmp_path: Path) -> None:
    x = Input((2, 6, 6))
    a = Conv2d(4, 3, padding=1)(x)
    b = ReLU()(a)  # may not lie where a is, which is read below
    c = Add()(b, a, b)
    d = Sigmoid()(c)
    e = Concat()(c, x, Softmax()(d), a)
    output = Linear(3)(Flatten()(Add()(e, e)))
    network = moved(Network(output, engine="reference"))
    assert_same(network, tmp_path, RNG(5).normal(size=(3, 2, 6, 6)).astype(np.float32))


def test_batch_norm_stays_where_others_read_its_input(tmp_path: Path) -> None:
    x = Input((2, 4, 4))
    a = Conv2d(3, 3, bias=False)(x)
    network = moved(Network(GlobalAvgPool2d()(Add()(BatchNorm2d()(a), a)), engine="reference"))
    compiled = assert_same(network, tmp_path, RNG(6).normal(size=(3, 2, 4, 4)).astype(np.float32))
    assert "_scale[3]" in compiled.source.read_text()
    chain = moved(Network([Conv2d(3, 3, bias=False), BatchNorm2d(), Flatten()], (2, 4, 4), engine="reference"))
    text = assert_same(chain, tmp_path, RNG(7).normal(size=(3, 2, 4, 4)).astype(np.float32)).source.read_text()
    assert "_scale" not in text
    assert "then 1: BatchNorm2d(), which is in its weights" in text


@pytest.mark.parametrize(
    "layer",
    [ReLU(), MaxPool2d(2, 1), MaxPool2d(3, 2, 1), LPPool2d(2, 1), Sigmoid(), LocalResponseNorm(3), Softmax()],
    ids=repr,
)
def test_nan_stays_visible(layer: Layer, tmp_path: Path) -> None:
    compiled = CNetwork(Network([layer, Flatten()], (1, 3, 3), loss="squared_error", engine="reference"), tmp_path)
    for place in range(9):
        x = np.ones((1, 1, 3, 3), np.float32)
        x.flat[place] = np.nan
        expected, _ = layer.forward({}, x)
        np.testing.assert_array_equal(np.isnan(compiled.predict(x)), np.isnan(expected.reshape(1, -1)))
        assert np.isnan(expected).any()


MAIN = """
#define NET_DECLARATIONS_ONLY
#include "net.c"
#include "net.c"
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    float *input = malloc(NET_INPUTS * sizeof(float));
    uint8_t *pixels = malloc(NET_INPUTS);
    float *output = malloc(4 * NET_OUTPUTS * sizeof(float));
    float *scratch = malloc(NET_SCRATCH * sizeof(float));
    if (fread(pixels, 1, NET_INPUTS, stdin) != NET_INPUTS) {
        return 1;
    }
    for (int i = 0; i < NET_INPUTS; ++i) {
        input[i] = (float)pixels[i] / 255.0f;
    }
    net_predict(input, output);
    net_predict_pixels(pixels, output + NET_OUTPUTS);
    for (int i = 0; i < NET_SCRATCH; ++i) {
        scratch[i] = NAN_OR_ZERO;
    }
    net_predict_with(input, output + 2 * NET_OUTPUTS, scratch);
    net_predict_pixels_with(pixels, output + 3 * NET_OUTPUTS, scratch);
    fwrite(output, sizeof(float), 4 * NET_OUTPUTS, stdout);
    free(input);
    free(pixels);
    free(output);
    free(scratch);
    return 0;
}
"""


def run(folder: Path, pixels: np.ndarray, *flags: str) -> np.ndarray:
    """Compile the network of ``folder`` and a program that calls all its functions; return what each gave."""
    (folder / "main.c").write_text(MAIN.replace("NAN_OR_ZERO", "0.0f / 0.0f"))
    compile_c(*flags, folder / "main.c", folder / "net.c", "-o", folder / "main", "-lm")
    done = subprocess.run([folder / "main"], input=pixels.tobytes(), capture_output=True, check=True)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, np.float32).reshape(4, -1)


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """Every buffer has its exact size on the heap, so that a step beyond any of them shows."""
    layers: list[Layer] = [
        Conv2d(4, 3, 2, 1),
        BatchNorm2d(),
        ReLU(),
        Concat([[MaxPool2d(3, 2, 1, ceil_mode=True)], [Conv2d(3, 5, 2, (2, 3))], [LPPool2d(3, 2, 1, ceil_mode=True)]]),
        LocalResponseNorm(5),
        Residual([Conv2d(11, (1, 3), padding="same", groups=11)]),
        Flatten(column_major=True),
        Linear(3),
    ]
    network = moved(Network(layers, (2, 9, 11), engine="reference", input_mean=[0.2, 0.4]))
    write_c(network, tmp_path / "net.c")
    pixels = RNG(8).integers(0, 256, network.input_shape, np.uint8)
    found = run(tmp_path, pixels, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    expected = network.copy(dtype="float64").predict(pixels[None])
    np.testing.assert_allclose(found, np.tile(expected, (4, 1)), atol=1e-5)


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_programs_in_cpp_may_call_it(tmp_path: Path) -> None:
    network = Network([Linear(1, bias=False)], (2,), loss="squared_error", engine="reference")
    network.parameters["0.weight"] = [[1.5, -2]]
    write_c(network, tmp_path / "net.c")
    compile_c("-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
    (tmp_path / "main.cpp").write_text(
        '#define NET_DECLARATIONS_ONLY\n#include "net.c"\n'
        "int main() { float x[] = {4, 1}, y; net_predict(x, &y); return int(y); }\n"
    )
    subprocess.run(["c++", tmp_path / "main.cpp", tmp_path / "net.o", "-lm", "-o", tmp_path / "main"], check=True)
    assert subprocess.run([tmp_path / "main"]).returncode == 1.5 * 4 - 2 * 1


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_c(zoo.digits(seed=4, engine="reference"), tmp_path / folder / "digits.c")
    assert (tmp_path / "a/digits.c").read_bytes() == (tmp_path / "b/digits.c").read_bytes()


def test_weights_are_written_to_the_last_bit(tmp_path: Path) -> None:
    network = Network([Linear(6, bias=False)], (1,), loss="squared_error", engine="reference")
    awkward = np.array([[0.1], [-1e-45], [3.4028235e38], [1 / 3], [-0.0], [16777216.0]], np.float32)
    network.parameters["0.weight"] = awkward
    text = CNetwork(network, tmp_path).source.read_text()
    np.testing.assert_array_equal(CNetwork(network, tmp_path).predict(np.ones((1, 1), np.float32))[0], awkward[:, 0])
    assert "{3.4028235e+38f},\n" in text


def test_names_that_are_none_in_c(tmp_path: Path) -> None:
    layers: list[Layer] = [
        Linear(4, name="a b"),
        Linear(4, name="a_b"),
        Linear(4, name='*/ int main(void) { return 1; } /* ??/ "\\'),
        Linear(4, name="äöü"),
        Linear(4, name="double"),
        Linear(3, name="0"),
    ]
    network = moved(Network(layers, (4,), engine="reference"))
    assert_same(network, tmp_path, RNG(9).normal(size=(2, 4)).astype(np.float32))
    write_c(network, tmp_path / "9 lives-für.c")
    compile_c("-c", tmp_path / "9 lives-für.c", "-o", tmp_path / "x.o")
    text = (tmp_path / "9 lives-für.c").read_text(encoding="ascii")
    assert "void layer9_lives_f_r_predict(const float *input, float *output);" in text
    assert "#define LAYER9_LIVES_F_R_OUTPUTS 3" in text


def test_it_needs_nothing_but_math(tmp_path: Path) -> None:
    write_c(zoo.lenet5(engine="reference"), tmp_path / "net.c")
    text = (tmp_path / "net.c").read_text()
    assert set(re.findall(r"#include (.*)", text)) == {"<stdint.h>", "<math.h>"}
    compile_c("-O2", "-c", "-ffreestanding", "-fno-builtin", tmp_path / "net.c", "-o", tmp_path / "net.o")
    wanted = subprocess.run(["nm", "-u", tmp_path / "net.o"], capture_output=True, text=True, check=True).stdout.split()
    assert set(wanted) - {"U", "_GLOBAL_OFFSET_TABLE_", "memset", "memcpy"} == {"expf", "tanhf"}


def test_the_document_shows_what_compiles(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/deploy.md").read_text()
    (shown,) = re.findall(r"^```c\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    head, body = shown.split("\n\n")
    arrays = "const uint8_t pixels[DIGITS_INPUTS] = {0}; const float numbers[DIGITS_INPUTS] = {0};"
    (tmp_path / "main.c").write_text(f"{head}\nint main(void)\n{{\n{arrays}\n{body}return probabilities[0] > 1;\n}}\n")
    write_c(zoo.digits(engine="reference"), tmp_path / "digits.c")
    compile_c(tmp_path / "main.c", tmp_path / "digits.c", "-o", tmp_path / "main", "-lm")
    subprocess.run([tmp_path / "main"], check=True)


def test_values_take_turns_in_the_scratch(tmp_path: Path) -> None:
    layers: list[Layer] = [Linear(100), *[layer for _ in range(10) for layer in (Linear(100), Tanh())], Linear(2)]
    write_c(Network(layers, (7,), engine="reference"), tmp_path / "net.c")
    assert "#define NET_SCRATCH 200\n" in (tmp_path / "net.c").read_text()


def test_large_networks_are_refused_unless_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network([Linear(2001)], (1000,), engine="reference")
    with pytest.raises(
        ExportError, match=r"the network has 8\.0 MB of weights; the C form is for small networks, up to 8 MB"
    ):
        write_c(network, tmp_path / "net.c")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("pellucid.interop.c_source.page.LIMIT", 100)
    small = Network([Linear(5)], (5,), engine="reference")
    with pytest.raises(ExportError, match="Export it to ONNX, or force it"):
        write_c(small, tmp_path / "net.c")
    write_c(small, tmp_path / "net.c", force=True)
    assert "Weights: 120 bytes" in (tmp_path / "net.c").read_text()


class Doubled(ReLU):
    def forward(self, params, x, **_):
        return 2 * x, None


class HalfSquaredError(SquaredError):
    def activation(self, a):
        return a / 2


def test_what_has_no_c_form_is_refused(tmp_path: Path) -> None:
    network = Network([Linear(2), Doubled(name="mine")], (2,), engine="reference")
    with pytest.raises(ExportError, match=r"layer 'mine', Doubled\(name='mine'\), has no C form"):
        write_c(network, tmp_path / "net.c")
    network = Network([Linear(2)], (2,), loss=HalfSquaredError(), engine="reference")
    with pytest.raises(ExportError, match=r"the loss HalfSquaredError\(\) has no C form"):
        write_c(network, tmp_path / "net.c")
    network = Network([Linear(2)], (2,), dtype="float64", engine="reference")
    for value in (np.nan, 1e39):
        network.parameters["0.bias"][1] = value
        with pytest.raises(
            DataError, match=r"0: Linear\(2\).*: its bias holds NaN, infinity, or numbers too large for"
        ):
            write_c(network, tmp_path / "net.c")
    with pytest.raises(FileWriteError, match="there is no folder"):
        write_c(zoo.digits(engine="reference"), tmp_path / "no" / "net.c")
    assert not list(tmp_path.iterdir())
