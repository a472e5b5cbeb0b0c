"""The OpenAPI description, made of the same declarations that check every request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.explain.explorer.fields import REQUIRED, Many
from pellucid.explain.explorer.operations import Operation

_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_ERROR = {
    "description": "What is wrong",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["type", "message"],
                        "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                    }
                },
            }
        }
    },
}


def openapi(known: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of all requests, version 3.1."""
    paths: dict[str, Any] = {f"/api{o.path}": {o.method.lower(): _described(o)} for o in known}
    opened = {"200": {"description": "The session", "content": _OBJECT}, "default": _ERROR}
    paths["/api/session"] = {"post": {"summary": "Make a session", "security": [], "responses": opened}}
    for path, summary, media in (
        ("/api/save", "The network as a model file", "application/octet-stream"),
        ("/api/handout", "The hand-out", "text/html"),
    ):
        content = {media: {"schema": {"type": "string", "format": "binary"}}}
        answers = {"200": {"description": "The file", "content": content}, "default": _ERROR}
        paths[path] = {"get": {"summary": summary, "responses": answers}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pellucid's explorer", "version": "1", "description": "See docs/explorer-api.md."},
        "paths": paths,
        "security": [{"session": []}],
        "components": {"securitySchemes": {"session": {"type": "apiKey", "in": "header", "name": "X-Session"}}},
    }


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {"200": {"description": "What was asked for", "content": _OBJECT}, "default": _ERROR},
    }
    if operation.takes_bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        described["requestBody"] = {"required": True, "content": content}
    elif operation.method == "GET":
        described["parameters"] = [
            {
                "name": name,
                "in": "query",
                "required": entry.default is REQUIRED,
                "schema": entry.schema(),
                **({"style": "form", "explode": False} if isinstance(entry, Many) else {}),
            }
            for name, entry in operation.fields.items()
        ]
    elif operation.fields:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": operation.given.schema()}},
        }
    return described
