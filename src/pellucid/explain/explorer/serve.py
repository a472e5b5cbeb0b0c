"""Serving the explorer on this machine's loopback, until Ctrl-C."""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import closing, suppress

from pellucid.errors import ConfigError
from pellucid.explain.explorer.handout import PAGE
from pellucid.explain.explorer.sessions import Sessions
from pellucid.explain.explorer.subject import Subject
from pellucid.extra import need

_HOST = "127.0.0.1"


def serve(subject: Subject, port: int, *, browse: bool, tell: Callable[[str], None]) -> None:
    """Serve the page and the API until the process is interrupted.

    Args:
        subject: what is explored.
        port: to listen on; 0 for any that is free.
        browse: open the page in the browser.
        tell: is told the address, once it can be asked.

    Raises:
        ConfigError: the port is taken, or the page has not been built.
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    for module in ("starlette", "uvicorn"):
        need(module, "the explorer is served with Starlette and uvicorn", "pellucid[web]")
    import uvicorn

    from pellucid.explain.explorer.app import create_app

    if not (PAGE / "index.html").is_file():
        raise ConfigError(f"the explorer's page is not in {PAGE}: build it (explorer/README.md)")
    with _listen(port) as listening:
        address = f"http://localhost:{listening.getsockname()[1]}/"
        tell(address)
        if browse:
            # The browser asks at once; the socket listens already, so it waits.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        sessions = Sessions(subject)
        config = uvicorn.Config(
            create_app(subject, PAGE, sessions),
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            lifespan="off",
            ws="none",
        )
        with closing(sessions), suppress(KeyboardInterrupt):  # that is how it ends
            uvicorn.Server(config).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is taken" if error.errno == errno.EADDRINUSE else "may not be used"
        raise ConfigError(f"port {port} {why}; give another with --port, or 0 for any that is free") from error
