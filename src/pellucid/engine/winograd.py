"""Which convolutions the native engine computes by Winograd's way, and the memory for it: native/winograd_sizes.hpp."""

from __future__ import annotations

import os

from pellucid.layers.base import Window

#: side of a tile of outputs
SIDE = 4
#: edge of the kernels whose tiles are taken point by point
BY_POINT = 3
#: values along one axis under a tile: F(4, r) takes four outputs from r + 3 inputs
POINTS = {3: 6, 5: 8}
#: these are the numbers of native/winograd_sizes.hpp, for which the compiled part looks when it takes a program
_TILES_AT_ONCE = 16
_CHANNELS_AT_ONCE = 6
_ZEROS = SIDE * _TILES_AT_ONCE + POINTS[5]
_LANES = 16
#: F(4×4, 3×3): tiles that are taken together, filters of a register tile, channels or filters of a block of the weight
#: gradient, channels that forward takes together, and how many weights are too many for the caches
_GROUP = 4
_TILE = 4
_SUM_BLOCK = 128
_CHANNELS_TOGETHER = 64
_PANEL_STEP = _CHANNELS_TOGETHER + 1
_MANY_WEIGHTS = 2**20


def kernel(rows: Window, columns: Window, height: int, width: int) -> int:
    """Return the edge of a kernel that goes Winograd's way, 3 or 5, over so many outputs; 0 for the direct way."""
    edge = rows[0]
    if columns[0] != edge or edge not in POINTS or (rows[1:3], columns[1:3]) != ((1, 1), (1, 1)):
        return 0
    if os.environ.get("PELLUCID_WINOGRAD") == "0" or min(height, width) < SIDE:
        return 0
    return edge


def pays_for_maps(channels: int) -> bool:
    """Tell whether forward and dx gain: all channels share what the transforms of outputs cost."""
    return channels >= 4


def pays_for_image(kernel: int, channels: int) -> bool:
    """Tell whether forward gains on an image: row by row, with one channel."""
    return kernel == 5 and channels == 1


def pays_for_weights(kernel: int, channels: int, filters: int) -> bool:
    """Tell whether the weight gradient gains: by points, filters come in vectors, and share the transforms."""
    return kernel == 5 or (channels >= 8 and filters >= _LANES)


def packed_floats(kernel: int, channels: int, filters: int) -> int:
    """Return how many numbers the transformed weights are, for one way; by points, in panels for 16 filters."""
    points = POINTS[kernel] ** 2
    if kernel == BY_POINT:
        return -(-filters // _LANES) * -(-channels // _CHANNELS_TOGETHER) * points * _PANEL_STEP * _LANES
    return points * channels * filters


def packs_nothing(channels: int, filters: int, *maps: tuple[int, int]) -> bool:
    """Tell whether weights by points are transformed where they are needed, and never packed.

    That is where they are many and the tiles few: ``maps`` are height and width, of the inputs and of the outputs.
    """
    few = all(-(-height // SIDE) * -(-width // SIDE) <= _GROUP for height, width in maps)
    return few and POINTS[BY_POINT] ** 2 * channels * filters >= _MANY_WEIGHTS


def arena_lanes(kernel: int, channels: int, filters: int, height: int, width: int, *, tiled_dx: bool) -> int:
    """Return the vectors of a block for δ tile by tile, and for Σ V ⊙ X with 16 filters to a vector.

    The weight gradient of a single channel goes row by row, and needs no tiles of δ.
    """
    if kernel == BY_POINT:
        return 0
    tiles = -(-height // SIDE) * -(-width // SIDE)
    delta = POINTS[kernel] * (filters * tiles + 1) * SIDE if channels > 1 or tiled_dx else 0
    return delta + channels * POINTS[kernel] ** 2 * -(-filters // _LANES)


def scratch_lanes(kernel: int, channels: int, filters: int) -> int:
    """Return the vectors that a thread needs for itself, the largest of forward, dx and weight gradient."""
    points = POINTS[kernel]
    if kernel == BY_POINT:
        maps = max(_maps_step(channels, filters), _maps_step(filters, channels))
        c, f = _block(channels, _SUM_BLOCK, _TILE), _block(filters, _SUM_BLOCK, _LANES)
        return _ZEROS + points**2 * max(maps, _point_step(c) + _point_step(f) + c * (f // _LANES))
    back = points * filters + points**2 * channels
    sums = _ZEROS + _CHANNELS_AT_ONCE * points * (_TILES_AT_ONCE + -(-filters // _LANES) * _LANES)
    return _ZEROS + max(back, sums)


def _maps_step(channels: int, filters: int) -> int:
    """Return what X, a panel of weights and the products take at one of the points."""
    c, f = _block(channels, _CHANNELS_TOGETHER, _TILE), _block(filters, _filters_together(channels), _LANES)
    return _point_step(c) + _PANEL_STEP + _point_step(f)


def _filters_together(channels: int) -> int:
    return 512 if channels > _CHANNELS_TOGETHER else 32


def _block(count: int, most: int, tile: int) -> int:
    return min(most, -(-count // tile) * tile)


def _point_step(channels: int) -> int:
    return _GROUP * (channels + 1)
