"""Correlation four ways, for learning: each method is the other three's oracle.

Single 1-D or 2-D arrays only; :class:`pellucid.layers.Conv2d` is the one with batches, channels and speed. A page that
shows the four side by side is ``docs/correlation.md``.
"""

from pellucid.correlation.derivatives import Gradients, correlate_gradients
from pellucid.correlation.methods import convolve, correlate

__all__ = ["Gradients", "convolve", "correlate", "correlate_gradients"]
