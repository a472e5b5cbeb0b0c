"""The zoo's deep networks beside the same ones in plain PyTorch: loss, every gradient and the running statistics.

The widths are divided by 4 to 32, so that all runs in float64 in seconds; the graphs are the zoo's own otherwise.
"""

from __future__ import annotations

import numpy as np
import pytest
from zoo_graphs import graph_of, narrowed

from pellucid import Network, zoo
from pellucid.errors import DataError
from pellucid.graph import Graph
from pellucid.interop.torch import load_state_dict, state_dict

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_nets.alexnet import AlexNet  # noqa: E402
from benchmarks.torch_nets.googlenet import GoogLeNet  # noqa: E402
from benchmarks.torch_nets.resnet import CifarResNet, ResNet  # noqa: E402
from benchmarks.torch_nets.vgg import VGG  # noqa: E402

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_same(graph: Graph, model: torch.nn.Module, *, batch: int = 2, seed: int = 0) -> None:
    """Give both the same weights and samples; compare a step of training, and a prediction after it."""
    torch.manual_seed(seed)
    model.double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(
            module, (torch.nn.Conv2d, torch.nn.Linear)
        ):  # PyTorch's own start lets δ vanish without batch norm
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1.0, 0.1)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    net = Network(graph, dtype="float64", engine="reference")
    load_state_dict(net, model.state_dict())

    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(batch, *net.input_shape)), rng.integers(net.output_shape[0], size=batch)
    value, gradients = net.loss_and_gradients(x, y)
    loss = torch.nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(y))
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-12)
    theirs = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    assert gradients.keys() == theirs.keys()
    # A bias before batch norm is idle: its gradient is rounding, to be judged by the others.
    largest = max(float(abs(gradient).max()) for gradient in theirs.values())
    for name, found in gradients.items():
        np.testing.assert_allclose(found, theirs[name], rtol=1e-8, atol=1e-11 * largest, err_msg=name)
        assert not name.endswith("weight") or abs(found).max() > 1e-6 * largest, f"{name} hardly has a gradient"

    own = state_dict(net)
    expected = model.state_dict()
    assert own.keys() == expected.keys()
    for name, tensor in expected.items():
        assert own[name].dtype == tensor.numpy().dtype
        np.testing.assert_allclose(own[name], tensor.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
    outputs = model.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(net.forward(x), outputs, rtol=1e-9, atol=1e-10 * abs(outputs).max())


def test_alexnet():
    assert_same(narrowed(graph_of(zoo.alexnet, classes=10), 16), AlexNet(width=4, classes=10))


@pytest.mark.parametrize(
    ("depth", "batch_norm", "order"),
    [*((depth, norm, "standard") for depth in (11, 13, 16, 19) for norm in (False, True)), (11, True, "epelbaum")],
)
def test_vgg(depth, batch_norm, order):
    graph = graph_of(zoo.vgg, depth, batch_norm=batch_norm, order=order, classes=10)
    model = VGG(depth, batch_norm=batch_norm, norm_last=order == "epelbaum", width=2, classes=10)
    assert_same(narrowed(graph, 32), model)


@pytest.mark.parametrize(
    ("depth", "order"), [(11, "standard"), (13, "standard"), (16, "standard"), (19, "standard"), (11, "epelbaum")]
)
def test_vgg_cifar(depth, order):
    graph = graph_of(zoo.vgg_cifar, depth, order=order)
    model = VGG(depth, batch_norm=True, norm_last=order == "epelbaum", cifar=True, width=8, classes=10)
    assert_same(narrowed(graph, 8), model, batch=6)


def test_images_larger_than_the_classifier_was_made_for():
    alexnet = graph_of(zoo.alexnet, classes=10, input_shape=(3, 416, 224))  # 12×6 before the classifier
    assert_same(narrowed(alexnet, 32), AlexNet(width=2, classes=10))
    vgg = graph_of(zoo.vgg, 11, classes=10, input_shape=(3, 448, 224))  # 14×7
    assert_same(narrowed(vgg, 32), VGG(11, width=2, classes=10))


@pytest.mark.parametrize("form", ["torchvision", "paper"])
def test_googlenet(form):
    graph = graph_of(zoo.googlenet, form=form, classes=10, input_shape=(3, 75, 70))
    assert_same(narrowed(graph, 8), GoogLeNet(paper=form == "paper", width=2, classes=10), batch=3)


@pytest.mark.parametrize(
    ("depth", "order"), [*((depth, "standard") for depth in (18, 34, 50, 101, 152)), (18, "epelbaum"), (50, "epelbaum")]
)
def test_resnet(depth, order):
    graph = graph_of(zoo.resnet, depth, order=order, classes=10, input_shape=(3, 40, 37))
    assert_same(narrowed(graph, 16), ResNet(depth, norm_last=order == "epelbaum", width=4, classes=10), batch=3)


@pytest.mark.parametrize(
    ("depth", "shortcut", "order"),
    [
        *((depth, "zeros", "standard") for depth in (20, 32, 44, 56, 110)),
        (20, "zeros", "epelbaum"),
        (20, "projection", "standard"),
    ],
)
def test_resnet_cifar(depth, shortcut, order):
    graph = graph_of(zoo.resnet_cifar, depth, shortcut=shortcut, order=order)
    model = CifarResNet(depth, zeros=shortcut == "zeros", norm_last=order == "epelbaum", width=4)
    assert_same(narrowed(graph, 4), model)


def test_pytorch_takes_what_state_dict_gives():
    net = Network(narrowed(graph_of(zoo.resnet_cifar, 20), 4), dtype="float64", engine="reference", seed=3)
    rng = np.random.default_rng(3)
    net.loss_and_gradients(rng.normal(size=(4, 3, 32, 32)), [0, 1, 2, 3])
    model = CifarResNet(20, width=4).double()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict(net).items()})
    x = rng.normal(size=(2, 3, 32, 32))
    np.testing.assert_allclose(model.eval()(torch.tensor(x)).detach().numpy(), net.forward(x), rtol=1e-9, atol=1e-12)
    assert int(model.bn1.num_batches_tracked) == 1


def test_tensors_that_are_not_plain_are_refused():
    model = AlexNet(width=4, classes=10)
    net = Network(narrowed(graph_of(zoo.alexnet, classes=10), 16), engine="reference")
    with pytest.raises(DataError, match=r"'features\.0\.weight' cannot be made into an array: Can't call numpy"):
        load_state_dict(net, dict(model.named_parameters()))
    with pytest.raises(
        DataError, match=r"'features\.0\.weight' cannot be made into an array: Got unsupported .*BFloat16"
    ):
        load_state_dict(net, model.bfloat16().state_dict())
