import asyncio
import json

import pytest

pytest.importorskip("starlette", reason="the explorer is served with Starlette")

from pellucid.explain.explorer.guard import MOST_BYTES, Guard


def ask(headers, body=(b"",), method="POST"):
    """Send a request through the guard to a program that reads all of it; return status, headers, body, bytes read."""
    sent, pieces, read = [], list(body), [0]

    async def program(scope, receive, send):
        more = True
        while more:
            message = await receive()
            read[0] += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    asyncio.run(Guard(program)({"type": "http", "method": method, "path": "/", "headers": raw}, receive, send))
    start, end = sent
    return start["status"], dict(start["headers"]), json.loads(end["body"]), read[0]


HOST = ("Host", "localhost:8765")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST:9"])
def test_own_hosts(host):
    assert ask([("Host", host)])[0] == 200
    assert ask([("Host", host), ("Origin", f"http://{host}")])[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8765",
        "localhost@evil.example",
        "evil.example@localhost",
        "127.0.0.2",
        "127.0.0.1.",
        "0.0.0.0",
        "localhost:8765/x",
        "localhost:x",
        "localhost:99999",
        "localhost ",
        "[::1",
        "localhost, evil.example",
        "",
        "\xe9",
    ],
)
def test_foreign_hosts(host):
    status, _, told, read = ask([("Host", host)])
    assert (status, read) == (403, 0)
    assert told == {"error": {"type": "ForeignHost", "message": "this server answers to localhost alone"}}


def test_no_host_and_two():
    assert ask([])[0] == ask([HOST, HOST])[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://localhost:8765", "http://localhost:3000", "http://127.0.0.1:8765", ""],
)
def test_foreign_origins(origin):
    status, _, told, read = ask([HOST, ("Origin", origin)])
    assert (status, read) == (403, 0)
    assert told == {"error": {"type": "ForeignOrigin", "message": "this server answers to its own page alone"}}


def test_two_origins_and_cross_site_requests():
    own = ("Origin", "http://localhost:8765")
    assert ask([HOST, own])[0] == 200
    assert ask([HOST, own, own])[0] == 403
    assert ask([HOST, ("Sec-Fetch-Site", "cross-site")])[0] == 403
    assert ask([HOST, ("Sec-Fetch-Site", "same-origin")])[0] == ask([HOST, ("Sec-Fetch-Site", "none")])[0] == 200


def test_bodies():
    assert ask([HOST], [b"x" * 1000] * 3)[3] == 3000
    status, headers, told, read = ask([HOST, ("Content-Length", str(MOST_BYTES + 1))], [b"x"])
    assert (status, read, told["error"]["type"]) == (413, 0, "TooLarge")
    assert headers[b"connection"] == b"close"
    assert ask([HOST, ("Content-Length", str(MOST_BYTES))], [b"x"])[0] == 200
    # A body that says nothing about its length, or a wrong one, ends where the limit is.
    piece = b"x" * (MOST_BYTES // 4)
    status, _, told, read = ask([HOST], [piece] * 8)
    assert (status, told["error"]["type"]) == (413, "TooLarge")
    assert read <= MOST_BYTES
    for wrong in ("-1", "x", "1e3", "٣"):
        headers = [HOST, ("Content-Length", wrong.encode().decode("latin-1"))]
        assert ask(headers)[2]["error"] == {"type": "BadRequest", "message": "Content-Length is not a number"}
    assert ask([HOST, ("Content-Length", "9" * 5000)])[0] == 413


def test_answers_are_of_no_use_elsewhere():
    for headers in ([HOST], [("Host", "evil.example")]):
        told = ask(headers)[1]
        assert b"frame-ancestors 'none'" in told[b"content-security-policy"]
        assert b"default-src 'none'" in told[b"content-security-policy"]
        assert told[b"x-content-type-options"] == b"nosniff"
        assert told[b"cross-origin-resource-policy"] == b"same-origin"
        assert b"access-control-allow-origin" not in told
