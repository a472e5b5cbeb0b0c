"""Two hundred SGD steps of the texts' nets, beside the same nets written in plain PyTorch."""

from pathlib import Path

import numpy as np
import pytest

from pellucid import zoo
from pellucid.data import load_dataset

torch = pytest.importorskip("torch", reason="needs PyTorch")

pytestmark = pytest.mark.peers

DATA = Path(__file__).parents[2] / "../shared/data"
STEPS = 200
BATCH = 16
RATE = 0.05


@pytest.fixture(scope="module")
def mnist():
    if not (DATA / "mnist").is_dir():
        pytest.skip("needs MNIST in ../shared/data/mnist")
    data = load_dataset("mnist", DATA).take(STEPS * BATCH)
    return data.x_train, data.y_train


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def relu_conv_pool(x, p, name):
    s = torch.nn.functional.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"])
    return torch.nn.functional.max_pool2d(torch.relu(s), 2)


def nguyen(x, p):
    x = relu_conv_pool(relu_conv_pool(x, p, "conv1"), p, "conv2")
    return x.reshape(len(x), 192) @ p["fc.weight"].T + p["fc.bias"]


def lenet5(x, p):
    for name, padding in (("conv1", 2), ("conv2", 0)):
        a = torch.nn.functional.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding=padding)
        x = torch.nn.functional.avg_pool2d(torch.tanh(a), 2)
    x = x.reshape(len(x), 400)
    for name in ("fc1", "fc2"):
        x = torch.tanh(x @ p[f"{name}.weight"].T + p[f"{name}.bias"])
    return x @ p["fc3.weight"].T + p["fc3.bias"]


def grishin(x, p):
    for i in (1, 2):
        z = torch.nn.functional.conv2d(x, p[f"conv{i}.weight"], p[f"conv{i}.bias"], padding=2)
        x = torch.nn.functional.max_pool2d(torch.nn.functional.elu(normalized(z, p, f"bn{i}")), 2)
    z = x.reshape(len(x), 1024) @ p["fc1.weight"].T + p["fc1.bias"]
    return torch.nn.functional.elu(normalized(z, p, "bn3")) @ p["fc2.weight"].T + p["fc2.bias"]


def normalized(z, p, name):
    """Grishin §18, every activation by its own mean and variance over the batch; z itself where there is none."""
    if f"{name}.weight" not in p:
        return z
    deviation = z - z.mean(0)
    variance = (deviation**2).mean(0)
    return p[f"{name}.weight"] * deviation / torch.sqrt(variance + 1e-5) + p[f"{name}.bias"]


def cross_entropy(a, y):
    return torch.nn.functional.cross_entropy(a, y)


def log_loss(a, y):
    one_hot = torch.nn.functional.one_hot(y, a.shape[1]).double()
    return torch.nn.functional.binary_cross_entropy_with_logits(a, one_hot, reduction="none").sum(1).mean()


def assert_same_training(net, forward, loss, images, labels, capsys):
    """Train both from the same weights on the same batches, and compare every parameter."""
    p = {name: torch.tensor(value.copy(), requires_grad=True) for name, value in net.parameters.items()}
    start = {name: value.copy() for name, value in net.parameters.items()}
    net.fit(images, labels, epochs=1, batch_size=BATCH, optimizer="sgd", learning_rate=RATE, shuffle=False, verbose=0)

    optimizer = torch.optim.SGD(p.values(), lr=RATE)
    x, y = torch.tensor(images / 255.0), torch.tensor(labels)
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        optimizer.zero_grad()
        loss(forward(x[rows], p), y[rows]).backward()
        optimizer.step()

    assert net.step == STEPS
    difference = {name: abs(net.parameters[name] - value.detach().numpy()).max() for name, value in p.items()}
    with capsys.disabled():
        worst = max(difference, key=difference.get)
        label = forward.__name__ + (" with batch norm" if "bn1.weight" in p else "")
        print(f"\n  {label}: {STEPS} steps, largest difference {difference[worst]:.1e} in {worst}")
    assert max(difference.values()) < 1e-9
    moved = {name: abs(net.parameters[name] - value).max() for name, value in start.items()}
    idle = {"conv1.bias", "conv2.bias", "fc1.bias"} if "bn1.weight" in p else set()
    assert all(moved[name] > 1e-2 for name in p.keys() - idle), moved
    assert all(moved[name] < 1e-12 for name in idle), moved


def test_nguyen(mnist, capsys):
    net = zoo.nguyen(dtype="float64", engine="reference")
    assert_same_training(net, nguyen, cross_entropy, *mnist, capsys)


def test_lenet5(mnist, capsys):
    net = zoo.lenet5(dtype="float64", engine="reference")
    assert_same_training(net, lenet5, cross_entropy, *mnist, capsys)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_grishin(mnist, capsys, batch_norm):
    images, labels = mnist
    images = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    if batch_norm:
        # A pixel that is black in all but one image of a batch has hardly any variance, so its rounding errors grow by
        # up to 1/√ε = 316 a layer: on clean images two right programs drift apart within 200 steps. Grain prevents it.
        images = np.maximum(images, np.random.default_rng(0).integers(64, size=images.shape, dtype=np.uint8))
    net = zoo.grishin(batch_norm=batch_norm, dtype="float64", engine="reference")
    assert_same_training(net, grishin, log_loss, images, labels, capsys)
