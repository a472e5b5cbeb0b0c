"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import ConfigError
from pellucid.layers.base import Formula, Layer, NativeProgram, require
from pellucid.philox import Stream


@dataclass(frozen=True)
class Dropout(Layer):
    r"""While training, set every entry to 0 with probability p, and scale the others so that the mean stays.

    Forward, with m = 0 with probability p, else 1, drawn for every entry of every sample and step::

        y = m·x / (1 − p)

    Backward::

        dx = m·dy / (1 − p)

    At inference y = x: the division while training ("inverted" dropout) leaves nothing to correct.

    m depends on the network's seed and step, the layer's place in the graph, the sample's place in the batch and the
    entry's place in the sample, and on nothing else: a random word r < 2³² is drawn for each, and m = 0 if
    r < round(2³²·p).

    Args:
        p: probability that an entry is dropped, 0 ≤ p < 1.

    Shapes: any, unchanged.

    Raises:
        ConfigError: ``p`` is out of range, or ``forward`` was called with ``training=True`` but without ``stream``.

    Source: Srivastava et al. 2014, §4, §10; the random words, Salmon et al. 2011 (see :mod:`pellucid.philox`).
    """

    p: float = 0.5

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = \frac{m}{1-p}\,x, \qquad m \sim \mathrm{Bernoulli}(1-p)",
        backward={"dx": r"\frac{\partial J}{\partial x} = \frac{m}{1-p}\,\frac{\partial J}{\partial y}"},
        source="Srivastava et al. 2014, §4, §10",
    )

    def __post_init__(self) -> None:
        require(0 <= self.p < 1, self, f"p must be at least 0 and less than 1; got {self.p!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(
        self, params: Tensors, x: Array, *, training: bool = False, stream: Stream | None = None, **_: Any
    ) -> tuple[Array, Array | None]:
        """Return y = m·x/(1 − p) while training, else x."""
        if not training:
            return x, None
        if stream is None:
            raise ConfigError(f"{self!r}: forward draws a mask while training, so pass stream=philox.Stream(seed)")
        scale = self.keeps(stream.words(x.shape)).astype(x.dtype) / (1 - self.p)
        return x * scale, scale

    def backward(self, params: Tensors, saved: Array | None, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = m·dy/(1 − p), or dy if nothing was dropped."""
        scale = saved
        return dy if scale is None else dy * scale, {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native dropout."""
        return program.dropout(slot, self.p)

    def keeps(self, words: Array) -> Array:
        """Return m as booleans for the random words of some entries."""
        return words >= self._dropped

    @property
    def _dropped(self) -> int:
        """How many of the 2³² words drop an entry; never all of them."""
        return min(round(self.p * 2**32), 2**32 - 1)
