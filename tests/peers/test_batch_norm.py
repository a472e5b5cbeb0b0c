import numpy as np
import pytest

from pellucid.layers.batch_norm import BatchNorm, BatchNorm2d

torch = pytest.importorskip("torch", reason="needs PyTorch")
pytestmark = pytest.mark.peers

MOMENTA = [{"momentum": 0.1}, {"momentum": 0.73}, {"running": "cumulative"}]


def assert_same(layer, peer, shape, seed, flatten=False):
    """Train both on four batches of uneven size, then infer: outputs, gradients and running statistics agree."""
    rng = np.random.default_rng(seed)
    params = {key: rng.normal(size=value.shape) for key, value in layer.init_params(shape, rng).items()}
    state = layer.init_state(shape)
    with torch.no_grad():
        peer.weight.copy_(torch.from_numpy(params["weight"].ravel()))
        peer.bias.copy_(torch.from_numpy(params["bias"].ravel()))
    for batch, training in ((4, True), (7, True), (2, True), (5, True), (3, False)):
        x = rng.normal(rng.normal(), 1 + rng.random(), size=(batch, *shape))
        dy = rng.normal(size=x.shape)
        y, saved = layer.forward(params, x, state=state, training=training, rng=rng)
        dx, grads = layer.backward(params, saved, dy)

        peer.train(training)
        peer.zero_grad()
        peer_x = torch.tensor(x, requires_grad=True)
        peer_y = peer(peer_x.flatten(1) if flatten else peer_x).reshape(peer_x.shape)
        peer_y.backward(torch.from_numpy(dy))
        close = {"rtol": 1e-9, "atol": 1e-11}
        np.testing.assert_allclose(y, peer_y.detach().numpy(), **close)
        np.testing.assert_allclose(dx, peer_x.grad.numpy(), **close)
        for key, gradient in grads.items():
            np.testing.assert_allclose(gradient.ravel(), getattr(peer, key).grad.numpy(), **close)
        np.testing.assert_allclose(state["running_mean"].ravel(), peer.running_mean.numpy(), **close)
        np.testing.assert_allclose(state["running_var"].ravel(), peer.running_var.numpy(), **close)
        assert state["num_batches"].item() == peer.num_batches_tracked.item()


@pytest.mark.parametrize("settings", MOMENTA)
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 5, 4), (17, 1, 3), (8, 9, 9)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_batch_norm_2d(shape, settings, eps):
    peer = torch.nn.BatchNorm2d(shape[0], eps=eps, momentum=settings.get("momentum"), dtype=torch.float64)
    assert_same(BatchNorm2d(eps=eps, **settings), peer, shape, seed=1)


@pytest.mark.parametrize("settings", MOMENTA)
@pytest.mark.parametrize("units", [1, 5, 65])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_batch_norm_of_vectors(units, settings, eps):
    peer = torch.nn.BatchNorm1d(units, eps=eps, momentum=settings.get("momentum"), dtype=torch.float64)
    assert_same(BatchNorm(eps=eps, **settings), peer, (units,), seed=2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 4)])
def test_batch_norm_of_single_pixels(shape):
    peer = torch.nn.BatchNorm1d(int(np.prod(shape)), dtype=torch.float64)
    assert_same(BatchNorm(), peer, shape, seed=3, flatten=True)
