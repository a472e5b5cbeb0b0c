"""The optimizers' formulas, written out in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.optimizers import SGD, AdaDelta, AdaGrad, Adam, AdaMax, RMSProp


def next_theta(o: Any, theta: np.ndarray, g: np.ndarray, slots: dict[str, Any], rate: float, t: int) -> np.ndarray:
    """Return θ after a step, by the formula in the optimizer's docstring; ``slots`` are the letters there."""
    zero = np.zeros_like(theta)
    match o:
        case SGD():
            g = g + o.weight_decay * theta
            v = slots["v"] = o.momentum * slots.get("v", zero) + g
            return theta - rate * (g + o.momentum * v if o.nesterov else v)
        case AdaGrad():
            s = slots["s"] = slots.get("s", zero) + g**2
            return theta - rate * g / (s**0.5 + o.eps)
        case RMSProp():
            s = slots["s"] = o.alpha * slots.get("s", zero) + (1 - o.alpha) * g**2
            return theta - rate * g / (s**0.5 + o.eps)
        case AdaDelta():
            s = slots["s"] = o.rho * slots.get("s", zero) + (1 - o.rho) * g**2
            d = g * (slots.get("u", zero) + o.eps) ** 0.5 / (s + o.eps) ** 0.5
            slots["u"] = o.rho * slots.get("u", zero) + (1 - o.rho) * d**2
            return theta - rate * d
        case AdaMax():
            m = slots["m"] = o.betas[0] * slots.get("m", zero) + (1 - o.betas[0]) * g
            u = slots["u"] = np.maximum(o.betas[1] * slots.get("u", zero), abs(g) + o.eps)
            return theta - rate / (1 - o.betas[0] ** t) * m / u
        case Adam():
            m = slots["m"] = o.betas[0] * slots.get("m", zero) + (1 - o.betas[0]) * g
            v = slots["v"] = o.betas[1] * slots.get("v", zero) + (1 - o.betas[1]) * g**2
            shrunk = theta - rate * getattr(o, "weight_decay", 0.0) * theta
            return shrunk - rate * (m / (1 - o.betas[0] ** t)) / ((v / (1 - o.betas[1] ** t)) ** 0.5 + o.eps)
    raise AssertionError(o)
