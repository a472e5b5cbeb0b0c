"""A web server on this machine that behaves as badly as a test asks for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: answers a request: gets the handler, and the first byte that was asked for, None for the whole file
Answer = Callable[[BaseHTTPRequestHandler, int | None], None]


@contextmanager
def serving(*answers: Answer) -> Iterator[tuple[str, list[tuple[str, int | None]]]]:
    """Serve on 127.0.0.1: the first answer for the first request, and so on; the last for all that follow.

    Gives the address, and the list that every request is noted in: its path, and where it asked to go on.
    """
    asked: list[tuple[str, int | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted else None
            asked.append((self.path, start))
            answers[min(len(asked), len(answers)) - 1](self, start)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sends(
    content: bytes,
    *,
    stop: int | None = None,
    claims: int | None = None,
    ranges: bool = True,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Return what sends a file.

    Args:
        content: of the file.
        stop: the connection breaks off when it comes to this byte.
        claims: the length the header tells, if not the right one.
        ranges: whether it goes on from where it is asked to.
        headers: in addition to its own, or in their place.
    """

    def answer(handler: BaseHTTPRequestHandler, start: int | None) -> None:
        first = start if ranges and start is not None else 0
        if first and first >= len(content):
            refuses(416)(handler, start)
            return
        told = {"Content-Length": str((len(content) if claims is None else claims) - first)}
        if first:
            told["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        handler.send_response(206 if first else 200)
        for name, value in {**told, **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content[first:stop])
        handler.close_connection = True

    return answer


def refuses(status: int) -> Answer:
    """Return what answers with an error."""

    def answer(handler: BaseHTTPRequestHandler, _: int | None) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer
