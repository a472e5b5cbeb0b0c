"""How a deep network folds: into stages of one height and width, and inside them into the blocks it was made of."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.arrays import Shape
from pellucid.graph import Node

#: what Residual and Concat call the node that joins their branches
_JOINTS = ("add", "concat")


def stages(nodes: Sequence[Node]) -> list[tuple[str, list[str]]]:
    """Return runs of nodes as ``(title, names)``; a run ends where height or width change, or maps become a vector."""
    runs: list[tuple[str, list[str]]] = []
    before: Shape | None = None
    for node in nodes:
        extent = node.shape[1:]
        if extent != before:
            runs.append(("×".join(map(str, extent)) or "vector", []))
        runs[-1][1].append(node.name)
        before = extent
    return runs


def blocks(nodes: Sequence[Node]) -> dict[str, str | None]:
    """Return by node name the path of the innermost Residual or Concat that it is part of."""
    paths = {path for path, _, last in (node.name.rpartition(".") for node in nodes) if last in _JOINTS and path}
    return {node.name: _innermost(node.name, paths) for node in nodes}


def _innermost(name: str, paths: set[str]) -> str | None:
    path = name
    while path:
        path = path.rpartition(".")[0]
        if path in paths:
            return path
    return None
