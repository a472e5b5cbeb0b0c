"""The server of the explorer: its API and its page, as a Starlette application."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pellucid.errors import ConfigError, MissingExtraError, PellucidError, TooLargeError
from pellucid.explain.explorer.fields import Object
from pellucid.explain.explorer.guard import Guard
from pellucid.explain.explorer.handout import make_handout
from pellucid.explain.explorer.openapi import openapi
from pellucid.explain.explorer.operations import Operation, operations
from pellucid.explain.explorer.session import Session
from pellucid.explain.explorer.sessions import Sessions
from pellucid.explain.explorer.subject import Subject

_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

#: the header that tells which session a request belongs to
SESSION = "X-Session"

_log = logging.getLogger(__name__)


def create_app(subject: Subject, page: Path, sessions: Sessions | None = None) -> Starlette:
    """Return the application that explores a subject.

    Args:
        subject: the network and its data.
        page: the folder of the built page.
        sessions: where sessions are kept, for who has to close them; its own if None.
    """
    known, sessions = operations(subject), sessions or Sessions(subject)
    api = [Route(o.path, _endpoint(o, sessions), methods=[o.method]) for o in known]
    described = openapi(known)
    api += [
        Route("/session", _open(sessions), methods=["POST"]),
        Route("/save", _file(sessions, subject, page, "save"), methods=["GET"]),
        Route("/handout", _file(sessions, subject, page, "handout"), methods=["GET"]),
        Route("/openapi.json", _constant(described), methods=["GET"]),
    ]
    return Starlette(
        routes=[Mount("/api", routes=api), Mount("/", StaticFiles(directory=page, html=True))],
        middleware=[Middleware(Guard)],
        exception_handlers={
            ClientDisconnect: _gone,
            HTTPException: _http_error,
            PellucidError: _error,
            Exception: _unexpected,
        },
    )


def _endpoint(operation: Operation, sessions: Sessions) -> _Endpoint:
    async def answer(request: Request) -> Response:
        session = _session(request, sessions)
        given = await _given(operation, request)
        return _json(await run_in_threadpool(operation.run, session, **given))

    return answer


def _open(sessions: Sessions) -> _Endpoint:
    async def answer(request: Request) -> Response:
        Object({}).parse_all(request.query_params, "the query")
        return _json({"session": await run_in_threadpool(sessions.open)})

    return answer


def _file(sessions: Sessions, subject: Subject, page: Path, kind: str) -> _Endpoint:
    async def answer(request: Request) -> Response:
        session = _session(request, sessions)
        Object({}).parse_all(request.query_params, "the query")
        if kind == "save":
            body, media, ending = await run_in_threadpool(session.model_file), "application/octet-stream", "safetensors"
        else:
            body, media, ending = await run_in_threadpool(make_handout, subject, session, page), "text/html", "html"
        # A browser takes a name from the page, which knows it; this one holds nothing that a header could not.
        disposition = f'attachment; filename="pellucid.{ending}"'
        return Response(
            body, media_type=media, headers={"Content-Disposition": disposition, "Cache-Control": "no-store"}
        )

    return answer


def _constant(value: dict[str, Any]) -> _Endpoint:
    async def answer(request: Request) -> Response:
        return _json(value)

    return answer


def _session(request: Request, sessions: Sessions) -> Session:
    session = sessions.find(request.headers.get(SESSION, ""))
    if session is None:
        raise HTTPException(404, f"UnknownSession: no such session; make one with POST /api/session ({SESSION})")
    return session


async def _given(operation: Operation, request: Request) -> dict[str, Any]:
    """Return the fields of a request, checked."""
    if operation.takes_bytes:
        given = operation.given.parse_all(request.query_params, "the query")
        return {**given, "data": await request.body()}
    if operation.method == "GET":
        return operation.given.parse_all(request.query_params, "the query")
    Object({}).parse_all(request.query_params, "the query")
    body = await request.body()
    if not body and not operation.fields:
        return {}
    # Other sites' forms can send text/plain, and a browser asks nobody before it does.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "ConfigError: the body must be JSON, with Content-Type: application/json")
    try:
        told = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the body is not JSON: {error}") from error
    return operation.given.read(told, "the body")


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(value, status, {"Cache-Control": "no-store"})


def _fault(status: int, kind: str, message: str) -> Response:
    return _json({"error": {"type": kind, "message": message}}, status)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind, _, message = error.detail.partition(": ")
    if not message:
        kind, message = "HTTPError", error.detail
    answer = _fault(error.status_code, kind, message)
    answer.headers.update(error.headers or {})
    return answer


async def _error(request: Request, error: Exception) -> Response:
    status = 501 if isinstance(error, MissingExtraError) else 413 if isinstance(error, TooLargeError) else 400
    return _fault(status, type(error).__name__, str(error))


async def _gone(request: Request, error: Exception) -> Response:
    return _fault(400, "Disconnected", "the browser went away")


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _fault(500, "InternalError", "this is a fault of Pellucid's; the terminal shows more")
