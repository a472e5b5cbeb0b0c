"""PyTorch's modules as networks and back, in float64: predictions, every gradient, running statistics."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from harness import random_window
from native_nets import JOINED, NETS
from zoo_graphs import graph_of, narrowed

from pellucid import Network, zoo
from pellucid.errors import ConfigError, DataError, ExportError, ShapeError
from pellucid.interop.torch import from_module, state_dict, to_module
from pellucid.layers import (
    ELU,
    Add,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Input,
    Layer,
    LeakyReLU,
    Linear,
    LPPool2d,
    MaxPool2d,
    Pad2d,
    ReLU,
    Sequential,
)

torch = pytest.importorskip("torch", reason="needs PyTorch")
nn = torch.nn
pytestmark = pytest.mark.peers
RNG = np.random.default_rng


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def moved(module: Any, seed: int = 0) -> Any:
    """Return the module in float64, with numbers in it that matter."""
    torch.manual_seed(seed)
    for name, tensor in module.double().state_dict().items():
        if name.endswith(("running_var", "num_batches_tracked")):
            tensor.copy_(torch.rand(tensor.shape) + 1)
        elif name.endswith(("bias", "running_mean")) or tensor.ndim == 1:
            tensor.copy_(torch.randn(tensor.shape) / 3 + 0.5)
    return module


def assert_close(found: np.ndarray, expected: Any, what: str = "") -> None:
    expected = expected.detach().numpy()
    slack = 1e-11 * max(1.0, float(abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=slack, err_msg=what)


def assert_same(module: Any, net: Network, *, seed: int = 0, train: bool = True) -> None:
    """Compare a prediction, and loss, gradients and running statistics of a step of training."""
    rng = RNG(seed)
    x = rng.normal(size=(3, *net.input_shape))
    assert_close(net.forward(x), module.eval()(torch.tensor(x)), "prediction")
    if not train:
        return
    y = rng.integers(net.output_shape[0], size=len(x))
    value, gradients = net.loss_and_gradients(x, y)
    loss = nn.functional.cross_entropy(module.train()(torch.tensor(x)), torch.tensor(y))
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-10)
    theirs = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        assert_close(gradient.reshape(tuple(theirs[name].shape)), theirs[name], name)
    tensors = module.state_dict()
    for name, array in state_dict(net).items():
        if "running" in name or "num_batches" in name:
            assert_close(array.reshape(tuple(tensors[name].shape)), tensors[name], name)


MODULES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "nguyen": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(True), nn.MaxPool2d(2), nn.Conv2d(6, 12, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(192, 10),
        ),
        (1, 28, 28),
    ),
    "nested, with batch norm": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6, 1e-3, 0.3), nn.LeakyReLU(0.1)),
            nn.Identity(),
            nn.Sequential(nn.Sequential(
                nn.Conv2d(6, 4, (1, 3), padding="same", dilation=(1, 2)), nn.BatchNorm2d(4, momentum=None)
            )),
            nn.ELU(0.7), nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), nn.Flatten(),
            nn.Linear(4 * 3 * 4, 7, bias=False), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(0.0), nn.Linear(7, 5),
        ),
        (3, 9, 11),
    ),
    "all sorts": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3, groups=2, padding="valid"), nn.LocalResponseNorm(4, 0.5, 0.6, 1.5), nn.LPPool2d(2, 2, 1),
            nn.Sigmoid(), nn.Softmax2d(), nn.AdaptiveAvgPool2d((3, None)), nn.AdaptiveMaxPool2d((3, 1)),
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 3, 1), nn.Flatten(1, 3), nn.Softmax(-1),
        ),
        (4, 9, 8),
    ),
    "the same module twice": (
        lambda: (lambda relu: nn.Sequential(nn.Linear(4, 5), relu, nn.Linear(5, 5), relu, nn.Linear(5, 2)))(nn.ReLU()),
        (4,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_from_module(name: str) -> None:
    build, shape = MODULES[name]
    module = moved(build())
    net = from_module(module, shape)
    assert net.dtype == np.float64
    assert list(net.parameters) == [key for key, _ in module.named_parameters()]
    assert_same(to_module(net), net)
    assert_same(module, from_module(module, shape))


def test_the_module_stays_as_it_is() -> None:
    module = moved(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))).train()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    net = from_module(module, (4,))
    net.loss_and_gradients(RNG(0).normal(size=(4, 4)), [0, 1, 2, 0])
    net.parameters["0.weight"][...] = 7
    assert module.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_windows_of_every_kind() -> None:
    for seed in range(40):
        rng = RNG([1, seed])
        settings, size = random_window(rng, pooling=True)
        ceil_mode, dilation = settings.pop("ceil_mode"), settings.pop("dilation")
        include, channels = bool(rng.integers(2)), int(rng.integers(1, 4))
        modules = [
            nn.MaxPool2d(**settings, dilation=dilation, ceil_mode=ceil_mode),
            nn.AvgPool2d(**settings, ceil_mode=ceil_mode, count_include_pad=include),
            nn.LPPool2d(float(rng.choice([2, 4])), settings["kernel_size"], settings["stride"]),
        ]
        for pool in modules if dilation == (1, 1) else modules[:1]:
            module = nn.Sequential(pool)
            room = settings["kernel_size"] if isinstance(pool, nn.LPPool2d) else (0, 0)  # it takes no padding
            net = from_module(module, (channels, size[0] + room[0], size[1] + room[1]), dtype="float64")
            assert_same(module, net, seed=seed, train=False)
            assert_same(to_module(net), net, seed=seed, train=False)
        settings, size = random_window(rng, pooling=False)
        conv = moved(nn.Sequential(nn.Conv2d(channels, 3, **settings)))
        net = from_module(conv, (channels, *size))
        assert_same(conv, net, seed=seed, train=False)
        assert_same(to_module(net), net, seed=seed, train=False)


def test_float32_and_half() -> None:
    module = nn.Sequential(nn.Linear(3, 2))
    net = from_module(module, (3,), loss="squared_error", seed=5, engine="reference")
    assert (net.dtype, net.seed, type(net.loss).__name__) == (np.float32, 5, "SquaredError")
    np.testing.assert_array_equal(net.parameters["0.weight"], module[0].weight.detach().numpy())
    halved = from_module(module.bfloat16(), (3,), engine="reference")
    np.testing.assert_array_equal(halved.parameters["0.weight"], module[0].weight.detach().float().numpy())
    assert to_module(halved)[0].weight.dtype == torch.float32
    assert from_module(nn.Sequential(nn.Linear(3, 2)), (3,), dtype="float64").dtype == np.float64


def told_by(module: Any, shape: tuple[int, ...]) -> str:
    with pytest.raises((ConfigError, ShapeError)) as caught:
        from_module(module, shape)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_what_has_no_counterpart_is_told_at_once() -> None:
    class Own(nn.Linear):
        pass

    shared = nn.Linear(4, 4)
    hooked = nn.Linear(4, 4)
    hooked.register_forward_hook(lambda *_: None)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), nn.GELU()),
        nn.MaxPool2d(2, return_indices=True), nn.AvgPool2d(2, divisor_override=3), nn.LPPool2d(3, 2),
        nn.LPPool2d(2, 2, ceil_mode=True), nn.BatchNorm2d(2, affine=False),
        nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten(0), nn.Softmax(2), Own(4, 4), nn.Dropout(1.0),
        nn.ELU(-1.0), shared, nn.ReLU(), shared, hooked,
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Dropout2d(), nn.ConvTranspose2d(1, 1, 1),
    )  # fmt: skip
    lines = told_by(module, (1, 8, 8)).splitlines()
    assert lines[0] == "ConfigError: this module cannot become a network:"
    assert lines[-1].startswith("for residual and other networks, build the same one with pellucid.layers and copy its")
    expected = [
        ("0.0", "padding_mode=reflect): there is only padding_mode='zeros' here, not 'reflect'"),
        ("0.1", "GELU(approximate='none') is none of the modules that Pellucid has layers for"),
        ("1", "there is only return_indices=False here, not True"),
        ("2", "there is only divisor_override=None here, not 3"),
        ("3", "PyTorch sums powers of x, Pellucid of |x|, which is the same for even norm_type only"),
        ("4", "there is only ceil_mode=False here, not True"),
        ("5", "there is only affine=True here, not False"),
        ("6", "there is only track_running_stats=True here, not False"),
        ("7", "there is only start_dim=1 here, not 0"),
        ("9", "Own(in_features=4, out_features=4, bias=True) is none of the modules"),
        ("10", "p must be at least 0 and less than 1; got 1.0"),
        ("11", "alpha must be a finite number of at least 0; got -1.0"),
        ("14", "shares its weight with 12; here every layer has its own"),
        ("14", "shares its bias with 12"),
        ("15", "Linear has hooks; remove them"),
        ("16", "ParametrizedLinear("),
        ("17", "Dropout2d(p=0.5, inplace=False) is none of the modules"),
        ("18", "ConvTranspose2d(1, 1, kernel_size=(1, 1), stride=(1, 1)) is none of the modules"),
    ]
    told = [line for line in lines[1:-1] if line.startswith("  ") and line[2].isdigit()]
    assert len(told) == len(expected), told
    for line, (path, text) in zip(told, expected, strict=True):
        assert line.startswith(f"  {path}: "), line
        assert text in line, line


def test_modules_that_do_not_fit_what_reaches_them() -> None:
    chain = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Flatten(), nn.Linear(5, 2))
    assert told_by(chain, (1, 6, 6)).startswith(
        "ShapeError: module '0.0' does not fit. Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1)) takes 3 maps; what "
        "reaches it is (1, 6, 6)"
    )
    assert told_by(chain, (3, 6, 6)).startswith("ShapeError: module '2' does not fit. Linear(in_features=5, ")
    large = told_by(nn.Sequential(nn.Conv2d(3, 4, 9)), (3, 6, 6))
    assert large.startswith("ShapeError: module '0' does not fit. Conv2d(4, 9, name='0'): its kernel spans 9 pixels")
    assert "takes 4 numbers; what reaches it is (4, 2, 2)" in told_by(nn.Sequential(nn.BatchNorm1d(4)), (4, 2, 2))
    assert "takes maps; what reaches it is (4,)" in told_by(nn.Sequential(nn.AdaptiveAvgPool2d(1)), (4,))
    assert "maps of 5×6 are no multiple of its output" in told_by(nn.Sequential(nn.AdaptiveAvgPool2d(2)), (4, 5, 6))
    assert "there is only dim=1 here, not 3" in told_by(nn.Sequential(nn.Softmax(3)), (4, 5, 6))
    assert "there is only end_dim=-1 here, not 2" in told_by(nn.Sequential(nn.Flatten(1, 2)), (4, 5, 6))


def test_what_is_no_sequential() -> None:
    class Reversed(nn.Sequential):
        def forward(self, x):
            return x

    told = "ConfigError: from_module takes a torch.nn.Sequential, got Linear; put a single module into a Sequential"
    assert told_by(nn.Linear(2, 2), (2,)).startswith(told)
    assert "got Reversed" in told_by(Reversed(nn.Linear(2, 2)), (2,))
    assert "0: Reversed(" in told_by(nn.Sequential(Reversed(nn.Linear(2, 2))), (2,))
    assert "a network needs at least one layer" in told_by(nn.Sequential(nn.Identity()), (2,))


@pytest.mark.parametrize("shape", [None, 4, (0,), (2, 3), ("4",), (1, 8, 8, 8)])
def test_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises((ConfigError, ShapeError), match=r"give input_shape|input_shape must be"):
        from_module(nn.Sequential(nn.Linear(4, 2)), shape)


def test_weights_that_cannot_be_used() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].bias.data[1] = torch.nan
    with pytest.raises(DataError, match=r"'0\.bias': the new values contain NaN"):
        from_module(module, (2,))
    with pytest.raises(DataError, match=r"'0\.weight' must be real numbers, got dtype complex64"):
        from_module(nn.Sequential(nn.Linear(2, 2, dtype=torch.complex64)), (2,))


#: those that PyTorch has nothing for
LACKING = {"lp pool dilated": "PyTorch has no such pooling with dilation"}


def still(layers: list[Layer]) -> list[Layer]:
    """Return the layers without dropout, whose masks are each engine's own."""
    return [Dropout(0.0) if isinstance(layer, Dropout) else layer for layer in layers]


@pytest.mark.parametrize("name", [*NETS, *JOINED])
def test_to_module(name: str) -> None:
    layers, shape = (NETS | JOINED)[name]
    net = Network(still(layers), shape, dtype="float64", seed=2)
    if name in LACKING:
        with pytest.raises(ExportError, match=LACKING[name]):
            to_module(net)
        return
    module = moved(to_module(net))
    assert not module.training
    assert set(module.state_dict()) == set(state_dict(net))
    for key, array in state_dict(net).items():
        table, own = (net.state, key) if "running" in key else (net.parameters, key)
        if "num_batches" not in key:
            tensor = module.state_dict()[key]
            table[own] = tensor.numpy().reshape(array.shape)
    twin = to_module(net)
    flips = any(getattr(node.layer, "flip", False) for node in net.graph.nodes)
    untrainable = flips or any(isinstance(n.layer, (LPPool2d, Dropout)) for n in net.graph.nodes)
    assert_same(twin, net, train=not untrainable and bool(net.parameters))


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda: zoo.nguyen(dtype="float64"), "Sequential"),
        (lambda: zoo.lenet5(dtype="float64"), "Sequential"),
        (lambda: Network(graph_of(zoo.grishin), dtype="float64"), "Sequential"),
        (lambda: Network(graph_of(zoo.grishin, batch_norm=True, column_major=True), dtype="float64"), "Network"),
        (lambda: Network(narrowed(graph_of(zoo.resnet_cifar, 20), 4), dtype="float64"), "Network"),
        (lambda: Network(narrowed(graph_of(zoo.vgg_cifar, 11), 8), dtype="float64"), "Sequential"),
        (lambda: Network(narrowed(graph_of(zoo.googlenet, classes=10, input_shape=(3, 75, 70)), 8), dtype="float64"),
         "Network"),
    ],
    ids=["nguyen", "lenet5", "grishin", "grishin, batch norm", "resnet20", "vgg11", "googlenet"],
)  # fmt: skip
def test_the_zoo(build: Any, kind: str) -> None:
    net = build()
    module = to_module(net)
    assert type(module).__name__ == kind
    assert [key for key, _ in module.named_parameters()] == list(net.parameters)
    assert module.state_dict().keys() == state_dict(net).keys()
    assert_same(module, net)
    back = pickle.loads(pickle.dumps(module))
    x = torch.tensor(RNG(3).normal(size=(1, *net.input_shape)))
    assert torch.equal(back.eval()(x), module.eval()(x))


def test_names_nest() -> None:
    body = Sequential([Linear(3, name="in"), ReLU()], name="body")
    module = to_module(Network([body, Linear(2, name="head.a"), LeakyReLU(name="head.b")], (4,)))
    assert type(module) is type(module.body) is type(module.head) is nn.Sequential
    assert list(module.state_dict()) == ["body.in.weight", "body.in.bias", "head.a.weight", "head.a.bias"]
    apart = [Linear(3, name="a.x"), ReLU(name="b"), Linear(2, name="a.y")]
    assert type(to_module(Network(apart, (4,)))).__name__ == "Network"


def test_the_input_mean_is_taken_off() -> None:
    net = Network([Conv2d(2, 3), GlobalAvgPool2d()], (3, 5, 5), dtype="float64", input_mean=[0.1, 0.5, 0.9])
    module = to_module(net)
    assert_same(module, net, train=False)
    np.testing.assert_array_equal(module.input_mean.numpy().ravel(), [0.1, 0.5, 0.9])
    net.input_mean[...] = 7
    np.testing.assert_array_equal(module.input_mean.numpy().ravel(), [0.1, 0.5, 0.9])


def test_weights_are_copies() -> None:
    net = Network([Linear(2)], (2,), engine="reference")
    module = to_module(net)
    kept = module[0].weight.detach().clone()
    net.parameters["0.weight"] = np.full((2, 2), 9)
    assert torch.equal(module[0].weight, kept)


class ThirdPower(Layer):
    def output_shape(self, shape):
        return shape


def test_layers_that_pytorch_lacks_are_told_at_once() -> None:
    start = Input((2, 6, 6))
    a = AvgPool2d(3, 1, "full", count_include_pad=False, name="a")(start)
    b = LPPool2d(2, 1, 0, 2, name="b")(a)
    c = ThirdPower(name="c")(b)
    d = Linear(3, name="type")(Flatten()(c))
    net = Network(ReLU()(Add()(d, d)), engine="reference")
    with pytest.raises(ExportError) as caught:
        to_module(net)
    first, *lines = str(caught.value).splitlines()
    assert first == "this network cannot become a PyTorch module:"
    assert [line.split(":")[0].strip() for line in lines] == ["a", "b", "c", "type"]
    assert "PyTorch's averages have no such padding" in lines[0]
    assert "PyTorch has no such pooling with dilation" in lines[1]
    assert "c: ThirdPower(name='c'): PyTorch has no such module" in lines[2]
    assert "PyTorch's modules have a 'type' of their own; give the layer another name" in lines[3]


def test_padding_that_pytorch_has_no_option_for() -> None:
    for pool in (
        MaxPool2d(3, 1, "same"),
        MaxPool2d((2, 4), 2, "same"),
        MaxPool2d(4, 3, "same", ceil_mode=True),
        AvgPool2d((2, 4), 2, "same"),
        LPPool2d(3, 2, 1, norm_type=3, ceil_mode=True),
        Pad2d(((1, 0), (2, 3)), -0.5),
        Conv2d(2, (2, 4), 2, "same"),
        Conv2d(2, 3, (1, 2), "full", dilation=2, flip=True),
    ):
        net = Network([pool, ELU()], (2, 7, 8), dtype="float64")
        assert_same(to_module(net), net, train=False)
