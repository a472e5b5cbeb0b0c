"""The explorer: a network, forward and backward, in the browser. ``docs/explorer-api.md`` tells what the page asks.

:mod:`~pellucid.explain.explorer.app` and :mod:`~pellucid.explain.explorer.serve` need the extra ``web``; nothing else
does.
"""

from pellucid.explain.explorer.handout import make_handout
from pellucid.explain.explorer.session import Session
from pellucid.explain.explorer.subject import Subject

__all__ = ["Session", "Subject", "make_handout"]
