"""Settings objects that turn into JSON and back: layers, losses, initialisers, regularisers.

Each is a frozen dataclass. Subclassing :class:`Described` is all it takes to be saved in a model file: the class
registers itself under its own name, so a user's layer loads as soon as the module that defines it is imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pellucid.errors import ConfigError
from pellucid.suggestion import did_you_mean

_T = TypeVar("_T")


@dataclass(frozen=True)
class Formula:
    """What :func:`pellucid.explain.formula` shows for a layer or a loss, in LaTeX.

    Attributes:
        forward: the equation.
        backward: quantity (``"dx"``, ``"dweight"``, ...) to the equation of its derivative.
        source: the text and equation numbers it comes from.
    """

    forward: str
    backward: dict[str, str]
    source: str


class Described:
    """Base of every settings dataclass; gives a short ``repr`` and the way to and from JSON."""

    _registry: ClassVar[dict[str, type[Described]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = Described._registry.get(cls.__name__)
        if known is not None and known.__module__.startswith("pellucid.") and known.__module__ != cls.__module__:
            raise ConfigError(
                f"Pellucid has a class called {cls.__name__} already; give yours another name, because model files "
                "find classes by it"
            )
        # Set here, before @dataclass runs, so that the decorator leaves it alone.
        cls.__repr__ = Described.__repr__
        Described._registry[cls.__name__] = cls

    def __repr__(self) -> str:
        """Name the class and the settings that differ from their defaults, required ones by position."""
        parts: list[str] = []
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        for field in sorted(fields, key=lambda field: bool(field.kw_only)):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                parts.append(repr(value))
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


def to_json(value: Any, *, defaults: bool = False) -> Any:
    """Return ``value`` as plain JSON types; a settings object becomes ``{"type": class name, setting: value, ...}``.

    Settings at their default are left out, so a file survives new settings; with ``defaults`` they are written too, so
    that it survives new defaults.
    """
    if isinstance(value, Described):
        described: dict[str, Any] = {"type": type(value).__name__}
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            setting = getattr(value, field.name)
            if defaults or field.default is dataclasses.MISSING or setting != field.default:
                described[field.name] = to_json(setting, defaults=defaults)
        return described
    if isinstance(value, (list, tuple)):
        return [to_json(item, defaults=defaults) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(item, defaults=defaults) for key, item in value.items()}  # pyright: ignore
    raise ConfigError(f"cannot save {value!r} of type {type(value).__name__} in a model file")


def from_json(data: Any, kind: type[_T]) -> _T:
    """Rebuild a settings object written by :func:`to_json`; it must be a ``kind``.

    Raises:
        ConfigError: the type is unknown, is not a ``kind``, or a setting is unknown or out of range.
    """
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError(f"expected the description of a {kind.__name__}, got {data!r}")
    settings: dict[str, Any] = {str(k): v for k, v in data.items()}  # pyright: ignore
    name = settings.pop("type")
    cls = Described._registry.get(name)  # pyright: ignore[reportPrivateUsage]
    if cls is None or not issubclass(cls, kind):
        what = "class" if kind is Described else kind.__name__.lower()
        raise ConfigError(
            f"unknown {what} {name!r}; if it is your own class, import the module that defines it before loading"
        )
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(settings.keys() - known)
    if unknown:
        raise ConfigError(
            f"{name} has no setting {', '.join(map(repr, unknown))}{did_you_mean(unknown[0], known)}; it has "
            f"{', '.join(sorted(known))}"
        )
    try:
        return cls(**{key: _restore(item) for key, item in settings.items()})
    except TypeError as error:
        raise ConfigError(f"cannot rebuild {name} from {settings!r}: {error}") from error


def _restore(item: Any) -> Any:
    if isinstance(item, dict):
        settings: dict[Any, Any] = item  # pyright: ignore[reportUnknownVariableType]
        return from_json(item, Described) if "type" in item else {key: _restore(part) for key, part in settings.items()}
    if isinstance(item, list):
        return tuple(_restore(part) for part in item)  # pyright: ignore[reportUnknownVariableType]
    return item  # pyright: ignore[reportUnknownVariableType]
