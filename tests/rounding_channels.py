"""The bounds of rounding.py for the layers with roots, powers and quotients: p-norm pooling, softmax, response norm.

Softmax and response norm mix the channels of a pixel. How an error in one of them spreads is taken from central
differences of the layer's own float64 code, channel by channel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pellucid.layers import LocalResponseNorm, LPPool2d, Softmax
from pellucid.layers.windows import overlap_add, pad, windows

UNIT = 2.0**-24
#: error of a vector e^x, and of s^(−¾), in units of u
EXPONENTIAL, DAMPING = 6, 5
DEVIATIONS = 4

Function = Callable[[np.ndarray], np.ndarray]
ChannelLayer = Softmax | LocalResponseNorm


def spread(f: Function, x: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return Σ (∂f/∂x_c)²·variance_c over the channels c; f(x) at a pixel depends on x at that pixel alone."""
    total = np.zeros_like(f(x))
    for c in range(x.shape[1]):
        step = np.zeros_like(x)
        step[:, c] = 1e-5
        total += ((f(x + step) - f(x - step)) / 2e-5) ** 2 * variance[:, c : c + 1]
    return total


def channels_forward(layer: ChannelLayer, x: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the variance of y."""
    y, _ = layer.forward({}, x)
    if isinstance(layer, Softmax):
        below = x.max(axis=1, keepdims=True) - x
        exponentials = below**2 + EXPONENTIAL**2
        own = exponentials + (y**2 * exponentials).sum(axis=1, keepdims=True) + x.shape[1] + 1
    else:
        own = (abs(layer.beta) * (np.sqrt(layer.size) + 3) + DAMPING + 1) ** 2
    return spread(lambda x: layer.forward({}, x)[0], x, variance) + own * (UNIT * y) ** 2


def channels_backward(
    layer: ChannelLayer, x: np.ndarray, variance: np.ndarray, dy: np.ndarray, dy_variance: np.ndarray
) -> np.ndarray:
    """Return the variance of dx."""
    y, saved = layer.forward({}, x)
    reached = spread(lambda x: layer.backward({}, layer.forward({}, x)[1], dy)[0], x, variance)
    reached += spread(lambda dy: layer.backward({}, saved, dy)[0], dy, dy_variance)
    if isinstance(layer, Softmax):
        # dx = y (dy − D), D = Σ dy·y: y's own roundings reach both factors.
        own_y = channels_forward(layer, x, 0 * x)
        beside = dy - (dy * y).sum(axis=1, keepdims=True)
        off = (dy**2 * own_y).sum(axis=1, keepdims=True)
        summed = x.shape[1] * (UNIT * (abs(dy) * y).sum(axis=1, keepdims=True)) ** 2
        return reached + 2 * (beside**2 * own_y + y**2 * off) + y**2 * summed + (2 * UNIT * y * beside) ** 2
    _, _, s = saved
    size, _ = layer.backward({}, (-abs(x), abs(y), s), abs(dy))  # all terms of dx with one sign, for β ≥ 0
    size = np.maximum(abs(size), abs(layer.backward({}, (abs(x), abs(y), s), abs(dy))[0]))
    roundings = abs(layer.beta) * (np.sqrt(layer.size) + 3) + np.sqrt(layer.size) + 2 * DAMPING
    return reached + (roundings * UNIT * size) ** 2


def norm_forward(layer: LPPool2d, x: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the variance of y = (Σ |x|^p)^(1/p); no slope of it is steeper than 1."""
    y, (pixels, *_) = layer.forward({}, x)
    reach = DEVIATIONS * np.sqrt(_fields(layer, variance))
    share = np.where(abs(pixels) <= 3 * reach, 1, _ratio(pixels, y) ** (layer.norm_type - 1))
    rounded = np.sqrt(pixels.shape[-1] * pixels.shape[-2]) + 5
    return (share**2 * _fields(layer, variance)).sum(axis=(-2, -1)) + (rounded * UNIT * y) ** 2


def norm_backward(
    layer: LPPool2d, x: np.ndarray, variance: np.ndarray, dy: np.ndarray, dy_variance: np.ndarray
) -> np.ndarray:
    """Return the variance of dx = Σ dy·sign(x)·r^(p−1), r = |x|/y.

    To first order r^(p−1) is off by (p−1)(off(x)/x − off(y)/y) of itself. Where x or y is so small that an error may
    turn its sign, anything between both signs of the largest possible r^(p−1) is allowed.
    """
    y, (pixels, *_) = layer.forward({}, x)
    y_variance = norm_forward(layer, x, variance)[..., None, None]
    y, dy, dy_variance = (a[..., None, None] for a in (y, dy, dy_variance))
    size, x_variance, p = abs(pixels), _fields(layer, variance), layer.norm_type
    reach, y_reach = DEVIATIONS * np.sqrt(x_variance), DEVIATIONS * np.sqrt(y_variance)
    share = _ratio(pixels, y[..., 0, 0]) ** (p - 1) * (size > 0)
    clear = (size > 3 * reach) & (y > 3 * y_reach) & (size > 0)
    off = np.divide(x_variance, size**2, where=clear, out=np.zeros_like(size)) + np.divide(
        y_variance, y**2, where=y > 0, out=np.zeros_like(y)
    )
    most = np.minimum(1, (size + reach) / np.maximum(y - y_reach, 1e-300)) ** (p - 1) * (size + reach > 0)
    share_variance = np.where(clear, 2 * ((p - 1) * share) ** 2 * off, (2 * most) ** 2)
    own = ((p + 4) ** 2 + pixels.shape[-1] * pixels.shape[-2]) * (UNIT * dy * share) ** 2
    return overlap_add(share**2 * dy_variance + (dy**2 + dy_variance) * share_variance + own, *_axes(layer, x))


def _axes(layer: LPPool2d, x: np.ndarray):
    return layer._axes(x.shape[2:])


def _fields(layer: LPPool2d, maps: np.ndarray) -> np.ndarray:
    return windows(pad(maps, *_axes(layer, maps)), *_axes(layer, maps))


def _ratio(pixels: np.ndarray, y: np.ndarray) -> np.ndarray:
    return abs(pixels) / np.where(y > 0, y, 1)[..., None, None]
