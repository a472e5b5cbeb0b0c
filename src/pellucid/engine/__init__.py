"""Engines: what runs a network's layers. The reference engine calls each layer's own NumPy forward and backward."""

from __future__ import annotations

from pellucid.errors import ConfigError

ENGINES = ("auto", "reference", "native")


def check_engine(name: str) -> str:
    """Return the name of an engine.

    Raises:
        ConfigError: there is no such engine.
    """
    if name not in ENGINES:
        raise ConfigError(f"no engine called {name!r}; there are {', '.join(ENGINES)}")
    return name


def instruction_set() -> str | None:
    """Return what the compiled part found on this processor ("avx512", "avx2", "neon", "baseline").

    None if Pellucid was installed without a C++ compiler: everything then runs on the reference engine.
    """
    try:
        from pellucid._native import instruction_set as found
    except ImportError:
        return None
    return found()
