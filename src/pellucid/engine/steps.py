"""What a native program consists of: slots, which are the values of a block, and steps between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pellucid.layers.base import Window

_OPS = {
    "conv": 0,
    "max_pool": 1,
    "avg_pool": 2,
    "activation": 3,
    "flatten": 4,
    "dropout": 5,
    "lp_pool": 6,
    "softmax": 7,
    "response_norm": 8,
    "batch_norm": 9,
    "add": 10,
    "pad_channels": 11,
}
_ACTIVATIONS = {"none": 0, "relu": 1, "leaky_relu": 2, "elu": 3, "sigmoid": 4, "tanh": 5}
#: what becomes of the δ of a second input; "same": it lies where the output's δ lies
_ADDENDS = {"none": 0, "same": 1, "add": 2}

_PIXEL: Window = (1, 1, 1, 0)


@dataclass
class Slot:
    """A value of one block: maps (C, H, W), vectors being maps of one pixel.

    Attributes:
        border: columns of zeros on either side.
        is_vector: maps of one pixel are none: a convolution may have put a border around that pixel.
        learns: whether anything before it does, so that it has a δ.
        readers: how many steps read it.
        parent, first: the slot whose channels from ``first`` on it is; None for none.
        same_delta: the slot whose δ is its own δ too, to begin with.
        made_of: the slot, a batch norm's input, from whose value its one reader makes this one's, which has no place.
    """

    channels: int
    height: int
    width: int
    border: int = 0
    is_vector: bool = False
    learns: bool = False
    readers: int = 1
    parent: int | None = None
    first: int = 0
    same_delta: int | None = None
    made_of: int | None = None

    @property
    def alike(self) -> tuple[int, ...]:
        """The slots whose rows must be as long as its own."""
        return tuple(slot for slot in (self.parent, self.same_delta, self.made_of) if slot is not None)

    @property
    def pitch(self) -> int:
        """Vectors from one row to the next."""
        return self.width + 2 * self.border

    @property
    def pixels(self) -> int:
        """Of a map."""
        return self.height * self.width

    @property
    def lanes(self) -> int:
        """Vectors of 16 samples that it takes."""
        return self.channels * self.height * self.pitch


@dataclass
class Step:
    """One native step; the fields are those of ``Step`` in native/program.hpp."""

    op: str
    input: int
    output: int
    rows: Window = _PIXEL
    columns: Window = _PIXEL
    groups: int = 1
    flip: bool = False
    weight: int = -1
    bias: int = -1
    activation: str = "none"
    alpha: float = 0.0
    column_major: bool = False
    needs_dx: bool = True
    adds: bool = False
    packed: int = 0
    tile: int = 0
    weights_tile: int = 0
    p: float = 0.0
    position: int = 0
    size: int = 0
    k: float = 0.0
    share: float = 0.0
    beta: float = 0.0
    addend: int = -1
    addend_back: str = "none"
    per_pixel: bool = False
    norm: int = 0
    state: int = 0
    eps: float = 0.0
    momentum: float = 0.0
    scale: list[float] = field(default_factory=list[float])

    @property
    def winograd(self) -> int:
        """Edge of the kernels that its tiles are for, 3 or 5, whichever passes take them; 0 if there are none."""
        return max(self.tile, self.weights_tile)

    @property
    def rises(self) -> bool:
        """Whether the step has an activation that never falls: f(a) ≤ f(b) for a ≤ b."""
        return self.activation not in ("none", "leaky_relu", "elu") or (self.activation != "none" and self.alpha >= 0)

    @property
    def slots(self) -> tuple[int, ...]:
        """What the step reads and writes."""
        return (self.input, self.output) if self.addend < 0 else (self.input, self.addend, self.output)

    @property
    def goes_back(self) -> bool:
        """Whether there is anything to do on the way back."""
        return self.weight >= 0 or self.needs_dx or self.addend_back != "none"

    @property
    def slots_with_delta(self) -> tuple[int, ...]:
        """Those whose δ the step reads or writes."""
        found = (self.output, *((self.input,) if self.needs_dx else ()))
        return found if self.addend_back == "none" else (*found, self.addend)

    def to_native(self) -> dict[str, Any]:
        """Return the fields as the compiled part reads them."""
        numbers = {"op": _OPS[self.op], "activation": _ACTIVATIONS[self.activation]}
        return {**vars(self), **numbers, "addend_back": _ADDENDS[self.addend_back]}


def is_pointwise(step: Step, source: Slot, output: Slot) -> bool:
    """Tell whether a convolution reads its weights as they lie: ``is_pointwise`` in native/program.hpp."""
    one_tap = (
        kernel == 1 and before == 0 and stride * (outputs - 1) < length
        for (kernel, stride, _, before), length, outputs in (
            (step.rows, source.height, output.height),
            (step.columns, source.width, output.width),
        )
    )
    return step.groups == 1 and all(one_tap)
