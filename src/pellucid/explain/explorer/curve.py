"""Figures of a training by step, however long it goes on."""

from __future__ import annotations

#: points that a curve has at most; more could not be told apart on a screen
MOST = 2000


class Curve:
    """Loss and accuracy at evenly spaced steps; when there are too many points, every second one goes.

    Args:
        every: steps from one point to the next, at first.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._points: list[dict[str, float]] = []

    def wants(self, step: int) -> bool:
        """Tell whether there is to be a point at that step."""
        return step % self._every == 0

    def add(self, step: int, loss: float, accuracy: float) -> None:
        """Put a point at the end."""
        self._points.append({"step": step, "loss": loss, "accuracy": accuracy})
        if len(self._points) > MOST:
            self._every *= 2
            self._points = [point for point in self._points if self.wants(int(point["step"]))]

    def after(self, step: int) -> list[dict[str, float]]:
        """Return the points of later steps than this one."""
        return [point for point in self._points if point["step"] > step]
