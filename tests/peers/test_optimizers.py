"""Optimizers, schedules and clipping against PyTorch's, in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from pellucid.optimizers import (  # noqa: E402
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    AdamW,
    RMSProp,
    clip_by_norm,
    clip_by_value,
)
from pellucid.schedules import Cosine, LinearWarmup, OneCycle, StepDecay  # noqa: E402

pytestmark = pytest.mark.peers

SHAPES = {"conv.weight": (4, 3, 5, 3), "conv.bias": (4,), "linear.weight": (7, 1)}

PAIRS = [
    (SGD(0.1), torch.optim.SGD, {"lr": 0.1}),
    (SGD(0.1, weight_decay=0.3), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.3}),
    (SGD(0.1, momentum=0.9), torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD(0.1, 0.8, True), torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    (
        SGD(0.1, 0.8, True, 0.02),
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    ),
    (AdaGrad(0.01), torch.optim.Adagrad, {"lr": 0.01}),
    (AdaGrad(0.5, eps=0.1), torch.optim.Adagrad, {"lr": 0.5, "eps": 0.1}),
    (RMSProp(0.001), torch.optim.RMSprop, {"lr": 0.001, "alpha": 0.9}),
    (RMSProp(0.01, alpha=0.99, eps=1e-3), torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.99, "eps": 1e-3}),
    (AdaDelta(1.0), torch.optim.Adadelta, {"lr": 1.0}),
    (AdaDelta(0.5, rho=0.8, eps=1e-3), torch.optim.Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-3}),
    (Adam(0.001), torch.optim.Adam, {"lr": 0.001}),
    (Adam(0.1, betas=(0.8, 0.9), eps=1e-3), torch.optim.Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3}),
    (AdaMax(0.002), torch.optim.Adamax, {"lr": 0.002}),
    (AdaMax(0.1, betas=(0.8, 0.9), eps=1e-1), torch.optim.Adamax, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-1}),
    (AdamW(0.001), torch.optim.AdamW, {"lr": 0.001}),
    (AdamW(0.1, weight_decay=0.5), torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.5}),
]


def random_arrays(rng):
    return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}


def as_torch(arrays):
    return {name: torch.tensor(array, dtype=torch.float64, requires_grad=True) for name, array in arrays.items()}


def set_gradients(tensors, grads):
    for name, tensor in tensors.items():
        tensor.grad = torch.tensor(grads[name], dtype=torch.float64)


@pytest.mark.parametrize(("optimizer", "peer", "settings"), PAIRS, ids=lambda value: str(value)[:50])
def test_fifty_steps(optimizer, peer, settings):
    rng = np.random.default_rng(11)
    params = random_arrays(rng)
    tensors = as_torch(params)
    theirs, state = peer(tensors.values(), **settings), optimizer.start(params)
    for step in range(50):
        # From tiny to large, with some entries exactly 0.
        grads = {name: g * 10.0 ** rng.integers(-4, 2) * (g > -1) for name, g in random_arrays(rng).items()}
        rate = settings["lr"] * (1 + step % 3)
        theirs.param_groups[0]["lr"] = rate
        set_gradients(tensors, grads)
        theirs.step()
        optimizer.apply(params, grads, state, rate)
    for name, param in params.items():
        np.testing.assert_allclose(param, tensors[name].detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("limit", [1e-3, 1.0, 7.0, 1e3])
def test_clipping(limit):
    grads = random_arrays(np.random.default_rng(5))
    for clip, peer in ((clip_by_norm, "clip_grad_norm_"), (clip_by_value, "clip_grad_value_")):
        tensors = as_torch(grads)
        set_gradients(tensors, grads)
        getattr(torch.nn.utils, peer)(tensors.values(), limit)
        for name, clipped in clip(grads, limit).items():
            np.testing.assert_allclose(clipped, tensors[name].grad.numpy(), rtol=1e-12, atol=0)


def rates(peer, epochs, **settings):
    """Return a PyTorch schedule's rates at e = 0 … E, one scheduler step an epoch, from a first rate of 0.4."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = peer(optimizer, **settings)
    found = [scheduler.get_last_lr()[0]]
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
        found.append(scheduler.get_last_lr()[0])
    return found


def warm_cosine(optimizer, warmup, left):
    kinds = torch.optim.lr_scheduler
    parts = [
        kinds.LinearLR(optimizer, start_factor=0.25, total_iters=warmup),
        kinds.CosineAnnealingLR(optimizer, T_max=left, eta_min=0.01),
    ]
    return kinds.SequentialLR(optimizer, parts, milestones=[warmup])


@pytest.mark.parametrize("epochs", [6, 17, 30])
def test_schedules(epochs):
    kinds = torch.optim.lr_scheduler
    share = 0.3
    # PyTorch's cycle peaks at step pct_start·total_steps − 1 and ends at total_steps − 1.
    cycle = {"total_steps": epochs + 1, "pct_start": (share * epochs + 1) / (epochs + 1)}
    pairs = [
        (StepDecay(0.4, 4, gamma=0.3), rates(kinds.StepLR, epochs, step_size=4, gamma=0.3)),
        (Cosine(0.4, eta_min=0.01), rates(kinds.CosineAnnealingLR, epochs, T_max=epochs, eta_min=0.01)),
        (OneCycle(0.4, pct_start=share), rates(kinds.OneCycleLR, epochs, max_lr=0.4, **cycle)),
        (LinearWarmup(0.4, 5, 0.2), rates(kinds.LinearLR, epochs, start_factor=0.2, total_iters=5)),
        (LinearWarmup(Cosine(0.4, 0.01), 3, 0.25), rates(warm_cosine, epochs, warmup=3, left=epochs - 3)),
    ]
    for schedule, expected in pairs:
        np.testing.assert_allclose([schedule(e, epochs) for e in range(epochs + 1)], expected, rtol=1e-12, atol=1e-15)
