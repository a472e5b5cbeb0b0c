"""Every layer with every loss and every optimizer: what a native step makes of its gradient, against the formula.

The gradients themselves are held against float64 in ``test_native.py`` and ``test_native_norms.py``, layer by layer.
"""

from __future__ import annotations

import numpy as np
import pytest
from native_nets import JOINED, LOSSES, NETS, build, samples
from threadpoolctl import threadpool_limits
from update_rules import next_theta

from pellucid.optimizers import OPTIMIZERS

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

EPS = float(np.finfo(np.float32).eps)
SAMPLES, STEPS = 19, 2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", [name for name in (*NETS, *JOINED) if name != "nothing to learn"])
def test_a_step_of_every_optimizer(name: str, loss: str) -> None:
    layers, shape = (NETS | JOINED)[name]
    for optimizer in OPTIMIZERS.values():
        with threadpool_limits(1, "openmp"):
            network = build(layers, shape, loss=loss)
            x, target = network.check_samples(*samples(network, SAMPLES))
            training = network.native_training(optimizer, x, target, np.ones(SAMPLES), np.empty_like(target))
            assert training is not None
            rate = float(optimizer.learning_rate)  # type: ignore[arg-type]
            rows, slots, moved = np.arange(SAMPLES), {}, 0.0
            for t in range(1, STEPS + 1):
                before = network.flat_parameters.astype(np.float64)
                gradient = network.batch_gradient(x, target)[1].astype(np.float64)
                assert np.count_nonzero(gradient), (name, optimizer)
                training.step(rows, network.step, rate)
                after = next_theta(optimizer, before, gradient, slots, rate, t)
                moved = np.maximum(moved, abs(after - before))
                # θ is rounded thrice by half an ulp (where weights decay), its change ten times; slots carry errors on.
                off = abs(network.flat_parameters - after) / (EPS * (1.5 * abs(after) + 10 * t * moved) + 1e-30)
                assert off.max() <= 1, (optimizer, t, off.max())
