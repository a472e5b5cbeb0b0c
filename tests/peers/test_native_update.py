"""Native training steps against PyTorch's float64: gradient, clipping and update together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

from pellucid import Network  # noqa: E402
from pellucid.layers import Linear, Tanh  # noqa: E402
from pellucid.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdaMax, AdamW, RMSProp  # noqa: E402
from pellucid.regularizers import L2  # noqa: E402

pytestmark = pytest.mark.peers

PAIRS = [
    (SGD(0.1), torch.optim.SGD, {"lr": 0.1}),
    (SGD(0.1, weight_decay=0.3), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.3}),
    (SGD(0.1, 0.8, True, 0.02), torch.optim.SGD,
     {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
    (AdaGrad(0.05, eps=1e-3), torch.optim.Adagrad, {"lr": 0.05, "eps": 1e-3}),
    (RMSProp(0.01, alpha=0.8, eps=1e-3), torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.8, "eps": 1e-3}),
    (AdaDelta(1.0, rho=0.8), torch.optim.Adadelta, {"lr": 1.0, "rho": 0.8, "eps": 1e-6}),
    (Adam(0.01, eps=1e-3), torch.optim.Adam, {"lr": 0.01, "eps": 1e-3}),
    (AdaMax(0.02, eps=1e-3), torch.optim.Adamax, {"lr": 0.02, "eps": 1e-3}),
    (AdamW(0.01, eps=1e-3, weight_decay=0.5), torch.optim.AdamW, {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize("clip_norm", [None, 0.2])
@pytest.mark.parametrize(("optimizer", "peer", "settings"), PAIRS, ids=lambda value: str(value)[:50])
def test_twenty_steps(optimizer, peer, settings, clip_norm):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(100, 33)).astype(np.float32), rng.integers(0, 3, 100)
    layers = [Linear(40), Tanh(), Linear(3)]
    network = Network(layers, (33,), engine="native", regularization=[L2(0.1)])
    theirs = torch.nn.Sequential(torch.nn.Linear(33, 40), torch.nn.Tanh(), torch.nn.Linear(40, 3)).double()
    with torch.no_grad():
        for own, tensor in zip(network.parameters.values(), theirs.parameters(), strict=True):
            tensor.copy_(torch.tensor(own))
    stepper = peer(theirs.parameters(), **settings)
    for start in 4 * list(range(0, 100, 20)):
        rows = slice(start, start + 20)
        outputs = theirs(torch.tensor(x[rows], dtype=torch.float64))
        loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(y[rows]))
        loss = loss + sum(0.05 * (w**2).sum() for w in theirs.parameters() if w.ndim == 2)
        stepper.zero_grad()
        loss.backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip_norm)
        stepper.step()
    network.fit(
        x, y, epochs=4, batch_size=20, shuffle=False, optimizer=replace(optimizer, clip_norm=clip_norm), verbose=0
    )
    for own, tensor in zip(network.parameters.values(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(own, tensor.detach().numpy(), rtol=1e-4, atol=1e-5)
