"""The hand-out: one HTML file with the page and the numbers of one sample in it, to be read without a server."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import deque
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ConfigError
from pellucid.explain.cell import LOSS
from pellucid.explain.explorer.model import describe
from pellucid.explain.explorer.packed import pack, pack_roughly
from pellucid.explain.explorer.session import Session
from pellucid.explain.explorer.subject import Subject
from pellucid.explain.explorer.view import View
from pellucid.graph import INPUT
from pellucid.network import Network

#: where the built page lies
PAGE = Path(__file__).parent / "page"

#: the element of the page that the data goes into
_PLACE = '<script type="text/plain" id="pellucid-handout">{}</script>'
#: what the page loads from beside it
_SCRIPT = re.compile(r'<script type="module"[^>]* src="\./([\w.-]+)"></script>')
_STYLE = re.compile(r'<link rel="stylesheet"[^>]* href="\./([\w.-]+)" ?/?>')
#: a hand-out needs nothing but itself
_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:\" />"
)
#: cells that a hand-out holds, the terms of one and of all of them, at most
_MOST_CELLS, _TERMS_OF_ONE, _MOST_TERMS = 3000, 64, 60_000
#: digits of the numbers that are multiplied; the page prints four
_DIGITS = 7
#: numbers of a tensor, and of all of them
_MOST_OF_ONE, _MOST_OF_ALL = 1_000_000, 4_000_000
#: numbers that are written in full: of all tensors, or else of those that are small
_EXACT_OF_ALL, _EXACT_OF_ONE = 500_000, 1024
#: entries of a vector that all have their cell; links that are followed from a cell
_WHOLE_VECTOR, _FOLLOWED = 128, 3

#: what, node, index, sample
_Name: TypeAlias = tuple[str, str, tuple[int, ...], int]


def make_handout(subject: Subject, session: Session, page: Path) -> bytes:
    """Return the HTML file.

    Args:
        subject: what is explored.
        session: the sample, and the parameters as they are now.
        page: the folder of the built page.

    Raises:
        ConfigError: the page has not been built, or is not one that a hand-out can be made of.
    """
    html = _whole(page)
    # No time stamp: the same numbers give the same file.
    packed = gzip.compress(json.dumps(record(subject, session), allow_nan=False).encode(), compresslevel=6, mtime=0)
    return html.replace(_PLACE.format(""), _PLACE.format(base64.b64encode(packed).decode())).encode()


def _whole(page: Path) -> str:
    """Return the page with its script and style sheet inside."""

    def script(found: re.Match[str]) -> str:
        # In a script's texts a backslash before "/" or "!" means nothing, and then they do not end the element.
        text = re.sub(r"<(?=/script|!--)", r"<\\", _read(page / found[1]), flags=re.IGNORECASE)
        return f'<script type="module">{text}</script>'

    def style(found: re.Match[str]) -> str:
        return f"<style>{_read(page / found[1])}</style>"

    html, scripts = _SCRIPT.subn(script, _read(page / "index.html"))
    html, styles = _STYLE.subn(style, html)
    if not scripts or not styles or html.count(_PLACE.format("")) != 1 or html.count("<head>") != 1:
        raise ConfigError(f"{page / 'index.html'} cannot be made into a hand-out; build the page again")
    return html.replace("<head>", f"<head>\n    {_POLICY}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"the explorer's page is not there ({error}); build it (explorer/README.md)") from error


def record(subject: Subject, session: Session) -> dict[str, Any]:
    """Return what a hand-out holds, as ``docs/explorer-api.md`` has it."""
    with session.still() as (state, view):
        tensors, cells = _tensors(subject.network, view), dict(_cells(subject.network, view))
    return {"format": 1, "model": describe(subject), "state": state, "tensors": tensors, "cells": cells}


def _tensors(network: Network, view: View) -> dict[str, Any]:
    """Return the tensors that are not too large, the smallest first if not all have room; of many, some roughly."""
    sizes = [(prod(network.input_shape), "value", "delta", INPUT)]
    sizes += [(prod(node.shape), "value", "delta", node.name) for node in network.graph.nodes]
    sizes += [(value.size, "parameter", "gradient", name) for name, value in network.parameters.items()]
    found: dict[str, Any] = {}
    left, in_full = _MOST_OF_ALL, 2 * sum(size for size, *_ in sizes) <= _EXACT_OF_ALL
    for size, forth, back, name in sorted(sizes):
        left -= 2 * size
        if size <= _MOST_OF_ONE and left >= 0:
            write = pack if in_full or size <= _EXACT_OF_ONE else pack_roughly
            found |= {f"{what} {name}": write(view.array(what, name)) for what in (forth, back)}
    return found


def _cells(network: Network, view: View) -> Iterator[tuple[str, Any]]:
    """Yield cells by key: the loss's, those of vectors, the strongest of maps, where their terms lead; the rest."""
    waiting = deque(_first(network, view))
    known, told, terms = set(waiting), 0, 0
    others = _rest(network, known)
    while told < _MOST_CELLS and terms < _MOST_TERMS:
        name = waiting.popleft() if waiting else next(others, None)
        if name is None:
            return
        known.add(name)
        what, node, index, sample = name
        cell = view.cell(node, what, index, sample, _TERMS_OF_ONE)
        told, terms = told + 1, terms + len(cell["terms"])
        yield _key(name), {**cell, "terms": _short(cell["terms"])}
        for link in _strongest(cell):
            if link not in known:
                known.add(link)
                waiting.append(link)


def _first(network: Network, view: View) -> Iterator[_Name]:
    yield from (("loss", LOSS, (), 0), ("sample_loss", LOSS, (), 0))
    if view.probabilities.ndim == 1 and view.probabilities.size <= _WHOLE_VECTOR:
        yield from (("prediction", LOSS, (k,), 0) for k in range(view.probabilities.size))
    for node in reversed(network.graph.nodes):
        for what in ("delta", "value"):
            array = view.array(what, node.name)
            if array.ndim == 1 and array.size <= _WHOLE_VECTOR:
                yield from ((what, node.name, (i,), 0) for i in range(array.size))
            elif array.ndim == 1:
                yield what, node.name, _largest(array), 0
            else:
                yield from ((what, node.name, (c, *_largest(channel)), 0) for c, channel in enumerate(array))


def _rest(network: Network, known: set[_Name]) -> Iterator[_Name]:
    """Yield what is not known of arrays that then have all their cells, the smallest first."""
    for node in sorted(network.graph.nodes, key=lambda node: prod(node.shape)):
        for what in ("value", "delta"):
            if prod(node.shape) <= _MOST_CELLS:
                names = [(what, node.name, index, 0) for index in np.ndindex(*node.shape)]
                missing = [name for name in names if name not in known]
                if len(missing) <= _MOST_CELLS - len(known):
                    yield from missing


def _largest(array: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.abs(array).argmax(), array.shape))


def _strongest(cell: dict[str, Any]) -> Iterator[_Name]:
    """Yield where the largest terms lead."""
    # What is not finite is a word.
    terms = sorted(cell["terms"], key=lambda term: -abs(term["value"]) if isinstance(term["value"], float) else 0.0)
    for term in terms[:_FOLLOWED]:
        for factor in term["factors"]:
            link = factor["link"]
            if link is not None:
                yield link["what"], link["node"], tuple(link["index"]), link["sample"] or 0


def _short(thing: Any) -> Any:
    """Return terms whose numbers have no more digits than can be seen: most of a hand-out's size is such digits."""
    if isinstance(thing, list):
        return [_short(part) for part in cast("list[Any]", thing)]
    if isinstance(thing, dict):
        return {name: _short(part) for name, part in cast("dict[str, Any]", thing).items()}
    return float(f"{thing:.{_DIGITS}g}") if isinstance(thing, float) else thing


def _key(name: _Name) -> str:
    what, node, index, sample = name
    return f"{what} {node} {','.join(map(str, index))}" + (f" {sample}" if sample else "")
