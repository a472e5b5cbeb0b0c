"""Everything that is measured, by name."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.deep_works import DEEP_WORKS, DeepWork
from benchmarks.kernels import KERNELS, Kernel
from benchmarks.works import WORKS, Work

EVERYTHING: tuple[Work | DeepWork | Kernel, ...] = (*WORKS, *DEEP_WORKS, *KERNELS)


def chosen(names: Sequence[str] | None) -> list[Work | DeepWork | Kernel]:
    """Return the works and kernels of these names, or all for None.

    A name that is none stands for all that begin with it.

    Raises:
        ValueError: a name fits none.
    """
    if names is None:
        return list(EVERYTHING)
    known = [one.name for one in EVERYTHING]
    found: set[str] = set()
    for name in names:
        meant = {name} & set(known) or {one for one in known if one.startswith(name)}
        if not meant:
            raise ValueError(f"no work called {name!r}; there are {', '.join(known)}")
        found |= meant
    return [one for one in EVERYTHING if one.name in found]
