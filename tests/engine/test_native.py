from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from native_nets import LOSSES, NETS, RNG, SETS, build, samples, set_isa
from rounding import assert_within_rounding
from threadpoolctl import threadpool_limits

from pellucid import Network
from pellucid.layers import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    ReLU,
    Softmax,
    Tanh,
)
from pellucid.losses import CrossEntropy, LogLoss, Loss, SquaredError
from pellucid.regularizers import L1, L2

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # Tiny nets on two threads spend their time waiting; test_native_repeat.py has the same bits for any number of them.
    with threadpool_limits(1, "openmp"):
        yield


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NETS)
def test_loss_outputs_and_gradients_of_every_layer(name: str, loss: str) -> None:
    network = build(*NETS[name], loss=loss)
    for n in (3, 18):
        assert_within_rounding(network, *samples(network, n))


BLOCKS: dict[str, list[Layer]] = {
    "usual": [Conv2d(5, 3), ReLU(), MaxPool2d(2), Conv2d(7, 3, 1, 1), Tanh(), AvgPool2d(2), Flatten(), Linear(4)],
    "norms": [Conv2d(5, 3), LocalResponseNorm(3, 1.0), LPPool2d(2), Dropout(0.2), Conv2d(3, 3, 1, 1), Softmax(),
              LPPool2d(3, 2, norm_type=3), Flatten(), Dropout(0.5), Linear(4)],
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 33, 128])
@pytest.mark.parametrize("name", BLOCKS)
def test_batches_around_a_block_of_16(name: str, n: int, threads: int) -> None:
    network = build(BLOCKS[name], (2, 10, 13), n_jobs=threads)
    assert_within_rounding(network, *samples(network, n))


# What comes in besides.


@pytest.mark.parametrize("n", [5, 16])
@pytest.mark.parametrize("mean", ["none", "channel", "pixel"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int64, np.float64])
def test_pixels_and_their_mean(kind: type, mean: str, n: int) -> None:
    shape = (3, 5, 7)
    of_what = {"none": None, "channel": RNG(2).uniform(size=3), "pixel": RNG(2).uniform(size=shape)}[mean]
    network = build([Conv2d(4, 3, padding=1), ReLU(), Flatten(), Linear(4)], shape, input_mean=of_what)
    # Every value but uint8 is taken as it is: small ones, so that the network does not saturate.
    pixels = RNG(3).integers(0, 256 if kind == np.uint8 else 4, (n, *shape)).astype(kind)
    assert_within_rounding(network, pixels, samples(network, n)[1])


@pytest.mark.parametrize("loss", [CrossEntropy, LogLoss, SquaredError])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_samples_and_of_classes(loss: type[Loss], reduction: Any) -> None:
    network = build([Linear(6), Tanh(), Linear(3)], (5,), loss=loss(reduction, class_weight={0: 0.3, 2: 4.0}))
    x, _ = samples(network, 21)
    weight = RNG(4).uniform(0, 2, 21)
    weight[[0, 5, 20]] = 0
    assert_within_rounding(network, x, RNG(5).integers(0, 3, 21), weight)
    assert_within_rounding(network, x, RNG(5).integers(0, 3, 21))


@pytest.mark.parametrize("loss", LOSSES)
def test_targets_for_every_output(loss: str) -> None:
    network = build([Linear(6), Tanh(), Linear(4)], (5,), loss=loss)
    x, _ = samples(network, 21)
    target = RNG(6).uniform(size=(21, 4)).astype(np.float32)
    assert_within_rounding(
        network, x, target / target.sum(axis=1, keepdims=True) if loss == "cross_entropy" else target
    )


def test_log_loss_of_a_single_output() -> None:
    network = build([Linear(6), Tanh(), Linear(1)], (5,), loss="log_loss")
    assert_within_rounding(network, samples(network, 21)[0], RNG(7).integers(0, 2, 21))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0, 1e4])
def test_outputs_large_and_small(scale: float, loss: str) -> None:
    network = build([Linear(4, bias=False)], (5,), loss=loss)
    x, y = samples(network, 19)
    assert_within_rounding(network, scale * x, y)


def test_penalties() -> None:
    network = build([Conv2d(4, 3), ReLU(), Flatten(), Linear(3)], (2, 5, 6), regularization=[L2(0.1), L1(0.03)])
    assert_within_rounding(network, *samples(network, 17))


def test_evaluate_is_that_of_the_reference() -> None:
    network = build([Conv2d(4, 3), ReLU(), Flatten(), Linear(3)], (2, 5, 6))
    x, y = samples(network, 50)
    expected = network.copy(dtype="float64").evaluate(x, y)
    assert network.evaluate(x, y, batch_size=7) == pytest.approx(expected, rel=1e-5)


def test_a_leaky_relu_that_turns_the_sign() -> None:
    # y does not tell the sign of x then: the native engine refuses it.
    network = Network([Linear(9), LeakyReLU(-0.5), Linear(3)], (6,), engine="reference")
    assert_within_rounding(network, *samples(network, 18))


def test_outputs_that_are_maps_of_one_pixel_keep_their_shape() -> None:
    network = Network([Conv2d(4, 3)], (2, 3, 3), engine="reference")
    x = RNG(8).normal(size=(5, 2, 3, 3)).astype(np.float32)
    given = network.forward(x)
    assert given.shape == (5, 4, 1, 1)
    exact = np.einsum("tcjk,fcjk->tf", x.astype(np.float64), network.parameters["0.weight"].astype(np.float64))
    np.testing.assert_allclose(given[:, :, 0, 0], exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [1, 15, 16])
def test_lanes_without_a_sample_never_spoil_a_gradient(n: int) -> None:
    # x − mean is 0 for every sample. A lane that held 0 − mean would overflow in the first layer, and 0·∞ is NaN.
    network = Network([Linear(3), Linear(2)], (4,), engine="native", input_mean=np.full(4, 1e20))
    network.parameters["0.weight"][...] = 1e20
    network.parameters["1.weight"][...] = 1e-5
    loss, gradients = network.loss_and_gradients(np.full((n, 4), 1e20, np.float32), [0] * n)
    assert loss == pytest.approx(np.log(2), rel=1e-7)
    assert gradients["0.weight"].tolist() == np.zeros((3, 4)).tolist()
    assert gradients["1.weight"].tolist() == np.zeros((2, 3)).tolist()
    np.testing.assert_allclose(gradients["1.bias"], [-0.5, 0.5], rtol=1e-6)


def test_the_callers_denormal_numbers_stay() -> None:
    network = build([Linear(2)], (3,))
    network.loss_and_gradients(*samples(network, 40))
    assert (np.array([1e-40], np.float32) * np.float32(1)).tolist() == [float(np.float32(1e-40))]
    assert (np.array([1e-30], np.float32) * np.float32(1e-10)).tolist() != [0.0]


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", NETS)
def test_every_layer_with_every_instruction_set(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    network = build(*NETS[name], loss="log_loss")
    assert network._native is not None
    assert network._native.isa == isa
    assert_within_rounding(network, *samples(network, 19))
