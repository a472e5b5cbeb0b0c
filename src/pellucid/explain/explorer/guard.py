"""Who may ask, and how much: checks that every request passes before anything reads it.

The server listens on loopback, but a page of another site can still send requests there (its own, or, by DNS
rebinding, under its own host name). So the host must be loopback's, the origin, where a browser tells one, the server's
own, and no answer may be read or framed elsewhere.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: bytes of a body; a picture of ten megabytes fits, as base64 too
MOST_BYTES = 14_000_000

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SAFE = {
    # KaTeX places its parts by style attributes.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class TooLongError(Exception):
    """A body went on after :data:`MOST_BYTES`."""


class Guard:
    """Refuses requests of foreign hosts and origins, and bodies that are too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fault = _fault(Headers(scope=scope))
        if fault is not None:
            await _refuse(_with_headers(send), *fault)
            return
        started, read = False, 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BYTES:
                raise TooLongError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, _with_headers(watched))
        except TooLongError:
            if not started:
                await _refuse(_with_headers(send), 413, "TooLarge", f"a body has at most {MOST_BYTES:,} bytes")


def _fault(headers: Headers) -> tuple[int, str, str] | None:
    """Return status, type and message of what is wrong with a request's headers."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or _name(hosts[0]) not in _LOOPBACK:
        return 403, "ForeignHost", "this server answers to localhost alone"
    if origins and origins != [f"http://{hosts[0]}"]:
        return 403, "ForeignOrigin", "this server answers to its own page alone"
    if headers.get("sec-fetch-site") == "cross-site":
        return 403, "ForeignOrigin", "this server answers to its own page alone"
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        return 400, "BadRequest", "Content-Length is not a number"
    if len(length) > 15 or int(length) > MOST_BYTES:
        return 413, "TooLarge", f"a body has at most {MOST_BYTES:,} bytes"
    return None


def _name(host: str) -> str | None:
    """Return the name in a Host header; None if it is more, or less, than a name and a port."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
        await send(message)

    return sender


async def _refuse(send: Send, status: int, kind: str, message: str) -> None:
    body = json.dumps({"error": {"type": kind, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is left of the body is not read, so the connection cannot be used again.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
