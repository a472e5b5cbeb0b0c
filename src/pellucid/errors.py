"""Every error the library raises on purpose, all derived from :class:`PellucidError`, and its warnings.

A message says where (layer path and settings), what came, what was expected, and what to do.
"""

from __future__ import annotations


class PellucidError(Exception):
    """Base of all errors raised by Pellucid; catch it to catch them all."""


class ConfigError(PellucidError, ValueError):
    """A setting lies outside its limits, or two settings contradict each other."""


class ShapeError(PellucidError, ValueError):
    """An array or a layer does not fit the shape it meets."""


class DataError(PellucidError, ValueError):
    """Images, labels or a data file cannot be used: NaN, out of range, empty, truncated, wrong format."""


class DataNotFoundError(DataError):
    """A data set's files are in none of the places where they were looked for."""


class ModelFileError(PellucidError, ValueError):
    """A model file is damaged, incomplete, or describes something this version does not know."""


class ExportError(PellucidError, ValueError):
    """A network cannot be written in the format asked for: the format has no form for a part of it, or no room."""


class CheckpointError(PellucidError, ValueError):
    """No checkpoint of a folder can be read, or they belong to a training on other data or with other settings."""


class FileWriteError(PellucidError, OSError):
    """A file cannot be written; what was there before is still there."""


class NonFiniteError(PellucidError, ArithmeticError):
    """Training met a NaN or an infinity; the last good weights have been put back."""


class EngineError(PellucidError, RuntimeError):
    """The engine asked for cannot run this network here."""


class TooLargeError(PellucidError, MemoryError):
    """A network or a batch needs more memory than there is; nothing of it has been allocated."""


class EngineWarning(UserWarning):
    """``engine="auto"`` chose the slower reference engine, because the native one lacks something."""


class MissingExtraError(PellucidError, ImportError):
    """An optional dependency is not installed; the message gives the ``pip install`` line."""
