"""Which convolutions the native engine computes by Winograd's way, and the memory that takes: kernels/winograd.hpp."""

from __future__ import annotations

import os

from pellucid.layers.base import Window

#: values along one axis under a tile: F(m, r) takes m outputs from m + r − 1 = 6 inputs
POINTS = 6
#: these are the numbers of native/winograd_sizes.hpp, for which the compiled part looks when it takes a program
_TILES_AT_ONCE = 32
#: channels of one register tile of the weight gradient
_WEIGHTS_CHANNELS = 2
_ZEROS = 4 * _TILES_AT_ONCE + POINTS
_LANES = 16
#: F(4×4, 3×3): side of a tile, tiles that are taken together, filters of a register tile, filters of a block, and
#: channels or filters of a block of the weight gradient
SIDE_BY_POINT = 4
_GROUP = 4
_TILE = 4
_FILTER_BLOCK = 64
_SUM_BLOCK = 128


def side(rows: Window, columns: Window, height: int, width: int) -> int:
    """Return the side of the tiles for a convolution with such windows and outputs; 0 for the direct way."""
    kernel = rows[0]
    if columns[0] != kernel or kernel not in (3, 5) or (rows[1:3], columns[1:3]) != ((1, 1), (1, 1)):
        return 0
    found = POINTS + 1 - kernel
    if os.environ.get("PELLUCID_WINOGRAD") == "0" or min(height, width) < found:
        return 0
    return found


def pays_for_maps(channels: int) -> bool:
    """Tell whether forward and dx gain: all channels share what the transforms of outputs cost."""
    return channels >= 4


def pays_for_weights(kernel: int, channels: int, filters: int) -> bool:
    """Tell whether the weight gradient gains: by points, filters come in vectors, and share the transforms."""
    return kernel == 5 or (channels >= 8 and filters >= _LANES)


def packed_floats(side: int, channels: int, filters: int) -> int:
    """Return how many numbers the transformed weights are, for one way; by points, in vectors and one more a point."""
    if side == SIDE_BY_POINT:
        return POINTS**2 * (channels * -(-filters // _LANES) + 1) * _LANES
    return POINTS**2 * channels * filters


def arena_lanes(side: int, channels: int, filters: int, height: int, width: int) -> int:
    """Return the vectors of a block for δ tile by tile, and for Σ V ⊙ X with 16 filters to a vector."""
    if side == SIDE_BY_POINT:
        return 0
    tiles = -(-height // side) * -(-width // side)
    return filters * tiles * side**2 + channels * POINTS**2 * -(-filters // _LANES)


def scratch_lanes(side: int, channels: int, filters: int) -> int:
    """Return the vectors that a thread needs for itself, the largest of forward, dx and weight gradient."""
    if side == SIDE_BY_POINT:
        ways = ((channels, filters), (filters, channels))
        maps = max(_point_step(c) + _point_step(_block(f, _FILTER_BLOCK, _TILE)) for c, f in ways)
        c, f = _block(channels, _SUM_BLOCK, _TILE), _block(filters, _SUM_BLOCK, _LANES)
        return _ZEROS + POINTS**2 * max(maps, _point_step(c) + _point_step(f) + c * (f // _LANES))
    forward = POINTS**2 * channels
    back = POINTS * filters + forward
    weights = _ZEROS + _WEIGHTS_CHANNELS * POINTS * (_TILES_AT_ONCE + -(-filters // _LANES) * _LANES)
    return _ZEROS + max(back, weights)


def _block(count: int, most: int, tile: int) -> int:
    return min(most, -(-count // tile) * tile)


def _point_step(channels: int) -> int:
    return _GROUP * (channels + 1)
