import http.client
import json
import logging
import re
import socket
import threading
from time import monotonic, sleep

import pytest

from pellucid.errors import ConfigError, MissingExtraError
from pellucid.explain.explorer import serve as serving

uvicorn = pytest.importorskip("uvicorn", reason="the explorer is served with uvicorn")


@pytest.fixture
def server(subject, page, monkeypatch):
    """The port of a server that runs on a thread of its own."""
    monkeypatch.setattr(serving, "PAGE", page)
    told, running = [], []
    known = uvicorn.Server

    class Watched(known):
        def run(self, sockets=None):
            running.append(self)
            super().run(sockets)

    monkeypatch.setattr(uvicorn, "Server", Watched)
    ready = threading.Event()

    def tell(address):
        told.append(address)
        ready.set()

    thread = threading.Thread(target=serving.serve, args=(subject, 0), kwargs={"browse": False, "tell": tell})
    thread.start()
    assert ready.wait(10)
    until = monotonic() + 10
    while not (running and running[0].started):  # one that is stopped before it has begun would go on
        assert monotonic() < until
        sleep(0.005)
    yield int(re.fullmatch(r"http://localhost:(\d+)/", told[0])[1])
    running[0].should_exit = True
    thread.join(10)
    assert not thread.is_alive()
    assert [thread.name for thread in threading.enumerate() if thread.name == "explorer training"] == []


def ask(port, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, read


def test_it_answers(server):
    assert ask(server, "GET", "/")[1].startswith(b"<!doctype html>")
    assert ask(server, "POST", "/api/session")[0] == 200
    assert ask(server, "GET", "/", {"Host": "evil.example"})[0] == 403


def test_a_training_ends_with_the_server(server):
    """Cut off in native code by the end of the program, it would abort it; the fixture sees that no thread is left."""
    session = {"X-Session": json.loads(ask(server, "POST", "/api/session")[1])["session"]}
    asked = {**session, "Content-Type": "application/json"}
    assert ask(server, "POST", "/api/train/run", asked, b"{}")[0] == 200
    until = monotonic() + 10
    while json.loads(ask(server, "GET", "/api/train", session)[1])["step"] < 3:
        assert monotonic() < until
    assert json.loads(ask(server, "GET", "/api/train", session)[1])["running"]


def test_what_is_not_http(server):
    for rubbish in (b"\0\1\2\3", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST /api/session HTTP/1.1\r\nHost: a"):
        with socket.create_connection(("127.0.0.1", server), timeout=10) as connection:
            connection.sendall(rubbish)
    assert ask(server, "GET", "/")[0] == 200


def test_web_sockets_are_not_served(server, caplog):
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    status, read = ask(server, "GET", "/", asked)
    assert (status, read[:15]) == (200, b"<!doctype html>")
    logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert "WebSocket" not in caplog.text


def test_loopback_only(server):
    outside = socket.gethostbyname(socket.gethostname())
    if outside.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection((outside, server), timeout=2)


def test_a_port_that_is_taken(subject, page, monkeypatch):
    monkeypatch.setattr(serving, "PAGE", page)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is taken; give another with --port, or 0 for any"):
            serving.serve(subject, port, browse=False, tell=print)


def test_no_page(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "PAGE", tmp_path)
    with pytest.raises(ConfigError, match=r"the explorer's page is not in .*: build it"):
        serving.serve(subject, 0, browse=False, tell=print)


def test_not_installed(subject, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r'served with Starlette and uvicorn.*pip install "pellucid\[web\]"'):
        serving.serve(subject, 0, browse=False, tell=print)
