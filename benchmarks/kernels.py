"""Which kernels are measured by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pellucid.arrays import Shape

Pass = Literal["forward", "dx", "dweight"]

Way = Literal["direct", "winograd"]

PASSES: tuple[Pass, ...] = ("forward", "dx", "dweight")

#: samples that one thread has in work at a time
BLOCK = 16


@dataclass(frozen=True)
class Kernel:
    """A convolution of square maps, as many out as in, padded so that they keep their size.

    Attributes:
        size: pixels along an edge of the kernel.
        channels: maps in, and maps out.
        pixels: along an edge of a map.
        way: how it is computed; Winograd's takes fewer multiply-adds than are counted, so its share may pass 100 %.
    """

    size: int
    channels: int
    pixels: int
    way: Way = "direct"

    @property
    def name(self) -> str:
        """What ``--only`` calls it."""
        return f"{'kernels' if self.way == 'direct' else self.way}-{self.size}x{self.size}-{self.channels}"

    @property
    def title(self) -> str:
        """What the table calls it."""
        told = f"{self.size}×{self.size}, {self.channels} channels of {self.pixels}×{self.pixels}"
        return told if self.way == "direct" else f"{told}, Winograd"

    @property
    def image_shape(self) -> Shape:
        """Shape of one image for the network that holds the kernel."""
        return (1, self.pixels, self.pixels)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a pass over a block of samples, done directly; each of the three passes has as many.

        A tap counts where it meets a pixel, not where it meets the padding: K·n − 2(1 + … + ⌊K/2⌋) times along an edge
        of n pixels.
        """
        half = self.size // 2
        edge = self.size * self.pixels - half * (half + 1)
        return BLOCK * self.channels**2 * edge**2


@dataclass(frozen=True)
class KernelJob:
    """What :mod:`benchmarks.kernel_side` is to do.

    Attributes:
        kernel: the kernel.
        engine: Pellucid's engine; only the native one can be timed.
        threads: a block of samples for each of them.
    """

    kernel: Kernel
    engine: Literal["native", "reference"]
    threads: int


#: maps of a block take about as much memory in all of them, 1 MiB and the borders
KERNELS = tuple(
    Kernel(size, channels, pixels, way)
    for way in get_args(Way)
    for size in (3, 5)
    for channels, pixels in ((16, 32), (64, 16), (256, 8))
)
