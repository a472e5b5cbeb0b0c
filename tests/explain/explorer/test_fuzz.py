"""Requests that nobody would write: every one gets an answer of 2xx, or of 4xx with the error as JSON."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="the explorer is served with Starlette")

FUZZ = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = st.sampled_from(["input", "conv", "1", "fc", "loss", "conv.weight", "fc.bias", "conv.mean", "", "\ud800", "x"])
KINDS = st.sampled_from(
    [
        "value",
        "delta",
        "parameter",
        "gradient",
        "share",
        "inner",
        "state",
        "prediction",
        "target",
        "weight",
        "partition",
        "sample_loss",
        "loss",
        "all",
    ]
)
PLACES = st.lists(st.integers(-1, 4), max_size=7)
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.integers(0, 40))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "split": st.sampled_from(["test", "train", "x"]) | JSON,
        "index": st.integers(-1, 70) | PLACES | JSON,
        "label": st.integers(-1, 4) | JSON,
        "training": JSON,
        "batch": st.integers(0, 33) | JSON,
        "width": st.integers(0, 9) | JSON,
        "height": st.integers(0, 9) | JSON,
        "channels": st.integers(0, 4) | JSON,
        "data": st.sampled_from(["", "AAAA", "AAAAAAAAAAAA", "=", "é"]) | JSON,
        "tensor": NAMES | JSON,
        "span": st.floats() | JSON,
        "points": st.integers(2, 12) | JSON,
        "steps": st.integers(0, 2) | JSON,
        "learning_rate": st.floats() | JSON,
        "batch_size": st.integers(0, 20) | JSON,
        "optimizer": st.sampled_from(["sgd", "adam", "x"]) | JSON,
        "tensors": st.lists(
            st.fixed_dictionaries(
                {"what": KINDS, "name": NAMES},
                optional={"channels": PLACES | JSON, "sample": st.integers(-1, 9), "x": JSON},
            ),
            max_size=3,
        )
        | JSON,
    },
)
#: what every path takes, so that many a request is nearly right
TAKEN = {
    "sample": {"split", "index"},
    "label": {"label"},
    "mode": {"training", "batch"},
    "drawing": {"width", "height", "channels", "data"},
    "nudge": {"tensor", "index", "span", "points"},
    "tensors": {"tensors"},
    "train/run": {"steps", "learning_rate", "batch_size", "optimizer"},
    "train/pause": set(),
    "train/reset": set(),
}


def proper(answer):
    assert answer.status_code < 500, answer.text
    told = json.loads(answer.content, parse_constant=pytest.fail)
    if answer.status_code != 200:
        assert answer.status_code >= 400
        assert told["error"].keys() == {"type", "message"}


@FUZZ
@given(path=st.sampled_from(sorted(TAKEN)), fields=FIELDS, extra=st.booleans())
def test_bodies(client, path, fields, extra):
    body = fields if extra else {name: value for name, value in fields.items() if name in TAKEN[path]}
    sent = json.dumps(body).encode()
    proper(client.post(f"/api/{path}", content=sent, headers={"Content-Type": "application/json"}))


@FUZZ
@given(path=st.sampled_from(sorted(TAKEN)), body=st.binary(max_size=40) | JSON.map(lambda v: json.dumps(v).encode()))
def test_what_is_no_object(client, path, body):
    proper(client.post(f"/api/{path}", content=body, headers={"Content-Type": "application/json"}))


@FUZZ
@given(node=NAMES, what=KINDS, index=PLACES, sample=st.integers(-1, 3))
def test_cells(client, node, what, index, sample):
    name = quote(node, errors="replace")
    places = ",".join(map(str, index))
    proper(client.get(f"/api/cell?node={name}&what={what}&index={places}&sample={sample}"))


@FUZZ
@given(path=st.sampled_from(["cell", "gallery", "train", "state", "model"]), query=st.text(max_size=30))
def test_queries(client, path, query):
    proper(client.get(f"/api/{path}?{quote(query, safe='=&,%', errors='replace')}"))


@FUZZ
@given(path=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_paths(client, path):
    answer = client.get("/" + quote(path, safe="/%.~"))
    assert answer.status_code < 500
    assert "not for the page" not in answer.text


@FUZZ
@given(
    body=st.binary(max_size=200), start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"P5 2 2 255\n", b"GIF89a", b"BM"])
)
def test_pictures(client, body, start):
    proper(client.post("/api/image", content=start + body))


def test_what_the_description_allows(client, monkeypatch):
    """Each operation as its OpenAPI description has it, and against it, made up by schemathesis."""
    monkeypatch.setattr("pellucid.explain.explorer.handout._MOST_CELLS", 10)
    schemathesis = pytest.importorskip("schemathesis", reason="requests are made up by schemathesis")
    schema = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
    asked = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/api/session":
            continue  # it would end this session

        asked |= _ask_all(client, operation)
    assert {path for path, _ in asked} == set(schema.raw_schema["paths"]) - {"/api/session"}
    assert {status for _, status in asked} <= {200, 400, 415}


def _ask_all(client, operation):
    """Ask what the description of one operation allows; return path and status of the answers."""
    asked = set()

    @settings(FUZZ, max_examples=12)
    @given(case=operation.as_strategy())
    def ask(case):
        sent = {"json": case.body} if isinstance(case.body, dict) else {}
        answer = client.request(operation.method, operation.path, params=dict(case.query or {}), **sent)
        asked.add((operation.path, answer.status_code))
        if answer.headers["content-type"] == "application/json":
            proper(answer)

    ask()
    return asked
