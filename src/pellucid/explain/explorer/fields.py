"""What a request may say, declared once: it checks what comes in, and it becomes the OpenAPI description."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pellucid.errors import ConfigError

#: stands for "must be given", where None is a value
REQUIRED: Any = object()


@dataclass(frozen=True)
class Field:
    """Base of the fields.

    Attributes:
        default: what is taken if nothing is said; :data:`REQUIRED` if something must be.
    """

    default: Any = field(default=REQUIRED, kw_only=True)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        raise NotImplementedError

    def read(self, value: Any, where: str) -> Any:
        """Return the value, checked.

        Raises:
            ConfigError: it is not what the field takes; the message begins with ``where``.
        """
        raise NotImplementedError

    def parse(self, text: str, where: str) -> Any:
        """Return the value that a query spells."""
        return self.read(text, where)


@dataclass(frozen=True)
class Whole(Field):
    """A whole number within limits."""

    least: int
    most: int

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def read(self, value: Any, where: str) -> int:
        """Return the number."""
        # JSON has one kind of number: 3.0 is a whole one.
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not self.least <= value <= self.most:
            raise ConfigError(f"{where} must be a whole number from {self.least} to {self.most}, got {_shown(value)}")
        return int(value)

    def parse(self, text: str, where: str) -> int:
        """Return the number that a query spells."""
        digits = text.removeprefix("-")
        # isdigit alone takes other scripts' digits, and int() takes underscores and spaces.
        spelled = digits.isascii() and digits.isdigit() and len(digits) <= 18
        return self.read(int(text) if spelled else text, where)


@dataclass(frozen=True)
class Number(Field):
    """A finite number above one limit and up to another."""

    above: float
    most: float

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "number", "exclusiveMinimum": self.above, "maximum": self.most}

    def read(self, value: Any, where: str) -> float:
        """Return the number."""
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not self.above < value <= self.most:
            raise ConfigError(
                f"{where} must be a number above {self.above:g} and up to {self.most:g}, got {_shown(value)}"
            )
        return float(value)


@dataclass(frozen=True)
class Flag(Field):
    """True or false."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "boolean"}

    def read(self, value: Any, where: str) -> bool:
        """Return it."""
        if not isinstance(value, bool):
            raise ConfigError(f"{where} must be true or false, got {_shown(value)}")
        return value


@dataclass(frozen=True)
class Text(Field):
    """A text, one of some if ``choices`` names them."""

    choices: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "string", "enum": list(self.choices)} if self.choices else {"type": "string", "maxLength": 500}

    def read(self, value: Any, where: str) -> str:
        """Return the text."""
        if not isinstance(value, str) or len(value) > 500 or (self.choices and value not in self.choices):
            wanted = f"one of {', '.join(self.choices)}" if self.choices else "a text of at most 500 characters"
            raise ConfigError(f"{where} must be {wanted}, got {_shown(value)}")
        return value


@dataclass(frozen=True)
class Packed(Field):
    """Bytes, as base64."""

    most: int

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "string", "format": "byte"}

    def read(self, value: Any, where: str) -> bytes:
        """Return the bytes."""
        if not isinstance(value, str) or len(value) > -(-self.most // 3) * 4:
            raise ConfigError(f"{where} must be base64 of at most {self.most:,} bytes, got {_shown(value)}")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"{where} is not base64: {error}") from error


@dataclass(frozen=True)
class Many(Field):
    """A list of some length; in a query, numbers with commas between them."""

    of: Field
    least: int
    most: int

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {"type": "array", "items": self.of.schema(), "minItems": self.least, "maxItems": self.most}

    def read(self, value: Any, where: str) -> list[Any]:
        """Return the list."""
        if not isinstance(value, list) or not self.least <= len(cast("list[Any]", value)) <= self.most:
            raise ConfigError(f"{where} must be a list of {self.least} to {self.most} entries, got {_shown(value)}")
        return [self.of.read(entry, f"{where}[{i}]") for i, entry in enumerate(cast("list[Any]", value))]

    def parse(self, text: str, where: str) -> list[Any]:
        """Return the list that a query spells."""
        parts = text.split(",", self.most) if text else []
        return self.read([self.of.parse(part, where) for part in parts], where)


@dataclass(frozen=True)
class Object(Field):
    """An object of fields by name; no others are taken."""

    fields: Mapping[str, Field]

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""
        return {
            "type": "object",
            "properties": {name: _with_default(entry) for name, entry in self.fields.items()},
            "required": [name for name, entry in self.fields.items() if entry.default is REQUIRED],
            "additionalProperties": False,
        }

    def read(self, value: Any, where: str) -> dict[str, Any]:
        """Return the values by name, with defaults for those that are not given."""
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a JSON object, got {_shown(value)}")
        return self._collect(cast("dict[str, Any]", value), where, parsed=False)

    def parse_all(self, query: Mapping[str, str], where: str) -> dict[str, Any]:
        """Return the values of a query string."""
        return self._collect(query, where, parsed=True)

    def _collect(self, given: Mapping[str, Any], where: str, *, parsed: bool) -> dict[str, Any]:
        unknown = sorted(given.keys() - self.fields.keys())
        if unknown:
            known = ", ".join(self.fields) or "nothing"
            raise ConfigError(f"{where} has no field {_shown(unknown[0])}; it takes {known}")
        values: dict[str, Any] = {}
        for name, entry in self.fields.items():
            if name not in given and entry.default is REQUIRED:
                raise ConfigError(f"{where} lacks {name!r}")
            if name not in given or (given[name] is None and entry.default is None):
                values[name] = entry.default
            else:
                values[name] = (entry.parse if parsed else entry.read)(given[name], f"{where}: {name}")
        return values


def _with_default(entry: Field) -> dict[str, Any]:
    schema = entry.schema()
    if entry.default is REQUIRED:
        return schema
    if entry.default is not None:
        return {**schema, "default": entry.default}
    return {"anyOf": [schema, {"type": "null"}], "default": None}


def _shown(value: Any) -> str:
    """Return a value as an error shows it: short, whatever was sent."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
