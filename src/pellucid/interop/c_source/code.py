"""C as text: lines and loops, numbers, arrays, names, and comments that nothing can break out of."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from pellucid.arrays import Array

_INDENT = "    "
_WIDTH = 118


class Code:
    """Lines of C, indented by the blocks that they stand in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 1

    def __call__(self, line: str) -> None:
        """Add a line."""
        self.lines.append(_INDENT * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Generator[None]:
        """Put what is added meanwhile between braces behind ``head``."""
        self(head + " {")
        self._depth += 1
        yield
        self._depth -= 1
        self("}")

    @contextmanager
    def loop(self, *counters: tuple[str, int]) -> Generator[None]:
        """Repeat what is added meanwhile for every counter from 0 to below its number, the last one fastest."""
        (name, count), *inner = counters
        with self.block(f"for (int32_t {name} = 0; {name} < {count}; ++{name})"):
            if inner:
                with self.loop(*inner):
                    yield
            else:
                yield


class Names:
    """Gives every text a C identifier of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, text: str) -> str:
        """Return an identifier like ``text`` that has not been given before."""
        base = name = identifier(text)
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def identifier(text: str) -> str:
    """Return ``text`` as a C name: underscores for other characters, ``layer`` in front if it begins with no letter."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return name if name[:1].isalpha() else f"layer{name}"


def comment(text: str) -> str:
    """Return ``text`` as it may stand in a comment: ASCII, and nothing that begins or ends one, or is a trigraph."""
    ascii_only = text.replace("×", "x").encode("ascii", "replace").decode()
    return ascii_only.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "/")


def number(value: float) -> str:
    """Return a float constant: the shortest one that is read as this float32 again."""
    return f"{np.float32(value)!s}f"


def index(*positions: tuple[str, int]) -> str:
    """Return the place of an entry of an array that lies row by row: ``(f * 24 + l) * 24 + m``.

    Args:
        positions: the index, and the length, along each axis.
    """
    text = positions[0][0]
    for name, length in positions[1:]:
        outer = f"({text})" if " " in text else text
        text = f"{outer} * {length} + {name}"
    return text


def array(kind: str, name: str, values: Array) -> list[str]:
    """Return the definition of a constant array, row by row."""
    sizes = "".join(f"[{n}]" for n in values.shape)
    whole = values.dtype.kind == "i"
    texts = values.astype(str) if whole else np.char.add(values.astype(np.float32).astype(str), "f")
    return [f"static const {kind} {name}{sizes} = {{", *_rows(texts, 1), "};"]


def _rows(texts: Array, depth: int) -> list[str]:
    pad = _INDENT * depth
    if texts.ndim == 1:
        return _wrapped(texts, pad)
    lines: list[str] = []
    for part in texts:
        line = f"{pad}{_inline(part)}," if part.size <= _WIDTH // 2 else ""
        if line and len(line) <= _WIDTH:
            lines.append(line)
        else:
            lines += [pad + "{", *_rows(part, depth + 1), pad + "},"]
    return lines


def _inline(texts: Array) -> str:
    parts = texts.tolist() if texts.ndim == 1 else map(_inline, texts)
    return "{" + ", ".join(parts) + "}"


def _wrapped(texts: Array, pad: str) -> list[str]:
    lines: list[str] = []
    line = pad
    for text in texts.tolist():
        if len(line) + len(text) + 1 > _WIDTH:
            lines.append(line.rstrip())
            line = pad
        line += f"{text}, "
    return [*lines, line.rstrip()]
