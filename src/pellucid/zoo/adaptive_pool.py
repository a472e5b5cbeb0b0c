"""The pooling that brings feature maps to the size a classifier takes."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.errors import ShapeError
from pellucid.graph import Graph
from pellucid.layers import AvgPool2d, Layer


def averaged_to(side: int, features: Layer, input_shape: Shape) -> list[Layer]:
    """Return what takes the maps of ``features`` to ``side``×``side``: nothing, or an average pooling "avgpool".

    This is PyTorch's ``AdaptiveAvgPool2d(side)`` wherever its windows do not overlap.

    Raises:
        ShapeError: the maps are no whole multiple of ``side``×``side``.
    """
    _, height, width = Graph([features], input_shape).output_shape
    if height % side or width % side:
        raise ShapeError(
            f"images of shape {input_shape} come out of {features.name!r} as maps of {height}×{width}; the classifier "
            f"takes {side}×{side}, or a multiple of it to average: use images of 224×224, or a network for small images"
        )
    window = (height // side, width // side)
    return [] if window == (1, 1) else [AvgPool2d(window, name="avgpool")]
