from __future__ import annotations

from importlib.util import find_spec

# The estimators cannot be imported without it.
collect_ignore_glob = [] if find_spec("sklearn") else ["test_*.py"]
