import base64
import io
import json

import numpy as np
import pytest

from pellucid import Network
from pellucid.explain import inspect

pytest.importorskip("starlette", reason="the explorer is served with Starlette")


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed["data"]), "<f4").reshape(packed["shape"])


def error(answer, status=400):
    assert answer.status_code == status, answer.text
    told = answer.json()["error"]
    assert told.keys() == {"type", "message"}
    return f"{told['type']}: {told['message']}"


@pytest.fixture
def other(client):
    """A second browser."""
    from starlette.testclient import TestClient

    browser = TestClient(client.app, base_url="http://localhost:8765", raise_server_exceptions=False)
    browser.headers["X-Session"] = browser.post("/api/session").json()["session"]
    return browser


def test_the_model(client, network):
    model = client.get("/api/model").json()
    assert (model["name"], model["dtype"], model["engine"]) == ("small", "float32", "reference")
    assert model["input"] == {"shape": [1, 6, 6], "mean": None}
    assert model["classes"] == ["upper", "middle", "lower"]
    assert model["data"] == {"name": "bands", "train": 60, "test": 12}
    assert model["loss"]["kind"] == "CrossEntropy"
    assert "e^{a_{tk}}" in model["loss"]["formula"]["forward"]
    assert (model["optimizers"]["sgd"], model["optimizers"]["adam"]) == (0.1, 0.001)
    conv, relu, *_, fc = model["nodes"]
    assert (conv["name"], conv["kind"], conv["inputs"], conv["shape"]) == ("conv", "Conv2d", ["input"], [4, 4, 4])
    assert conv["settings"] == {"out_channels": 4, "kernel_size": 3}
    assert conv["parameters"] == [
        {"name": "conv.weight", "key": "weight", "shape": [4, 1, 3, 3]},
        {"name": "conv.bias", "key": "bias", "shape": [4]},
    ]
    assert conv["formula"]["source"].startswith("Epelbaum")
    assert relu["parameters"] == []
    assert (fc["shape"], fc["stage"]) == ([3], 2)
    assert [stage["title"] for stage in model["stages"]] == ["4×4", "2×2", "vector"]
    assert [name for stage in model["stages"] for name in stage["nodes"]] == [n.name for n in network.graph.nodes]


def test_the_state_is_the_trace(client, network, dataset):
    x, y = dataset.x_test[7:8], dataset.y_test[7:8]
    trace = network.trace(x, y, training=False)
    before = client.get("/api/state").json()
    state = client.post("/api/sample", json={"split": "test", "index": 7}).json()
    assert state["sample"] == {"source": "data", "split": "test", "index": 7, "label": 1}
    assert state["revision"] > before["revision"]
    assert state["loss"] == pytest.approx(trace.loss, rel=1e-6)
    assert state["prediction"]["probabilities"] == pytest.approx(network.predict(x)[0], rel=1e-5)
    assert state["prediction"]["best"] == network.predict(x).argmax()
    assert state["target"] == [0, 1, 0]
    assert state["mode"] == {"training": False, "batch": 1}
    assert client.get("/api/state").json() == state


def test_tensors_are_those_of_the_trace(client, network, dataset):
    trace = network.trace(dataset.x_test[:1], dataset.y_test[:1], training=False)
    wanted = [
        ("value", "input", trace.input[0]),
        ("delta", "input", trace.input_delta[0]),
        ("value", "conv", trace["conv"].output[0]),
        ("delta", "fc", trace["fc"].delta[0]),
        ("parameter", "conv.weight", network.parameters["conv.weight"]),
        ("gradient", "fc.bias", trace["fc"].gradients["bias"]),
    ]
    asked = {"tensors": [{"what": what, "name": name} for what, name, _ in wanted]}
    answer = client.post("/api/tensors", json=asked).json()
    for packed, (what, name, array) in zip(answer["tensors"], wanted, strict=True):
        assert (packed["what"], packed["name"], packed["total"]) == (what, name, len(array))
        np.testing.assert_array_equal(unpack(packed), array)
        assert (packed["min"], packed["max"]) == (array.min(), array.max())
    some = {"tensors": [{"what": "value", "name": "conv", "channels": [1, 3]}]}
    (packed,) = client.post("/api/tensors", json=some).json()["tensors"]
    np.testing.assert_array_equal(unpack(packed), trace["conv"].output[0, 1:3])
    assert (packed["channels"], packed["total"]) == ([1, 3], 4)


def test_a_cell_and_where_it_leads(client, network, dataset):
    trace = network.trace(dataset.x_test[:1], dataset.y_test[:1], training=False)
    for what, expected in (("value", trace["conv"].output), ("delta", trace["conv"].delta)):
        cell = client.get(f"/api/cell?node=conv&what={what}&index=2,1,3").json()
        assert cell["value"] == pytest.approx(float(expected[0, 2, 1, 3]), rel=1e-6)
        assert cell.pop("revision") == client.get("/api/state").json()["revision"]
        assert cell == json.loads(json.dumps(inspect(network, trace, "conv", (2, 1, 3), what=what).to_json()))
    cell = client.get("/api/cell?node=conv&index=2,1,3").json()
    links = [factor["link"] for term in cell["terms"] for factor in term["factors"] if factor["link"]]
    assert {link["what"] for link in links} == {"parameter", "value"}
    for link in links[:6]:
        query = {"node": link["node"], "what": link["what"], "index": ",".join(map(str, link["index"]))}
        assert client.get("/api/cell", params=query).status_code == 200
    assert client.get("/api/cell?node=loss&what=loss").json()["value"] == pytest.approx(trace.loss)


def test_a_nudge(client, network, dataset):
    x, y = dataset.x_test[:1], dataset.y_test[:1]
    found = client.post(
        "/api/nudge", json={"tensor": "conv.weight", "index": [1, 0, 2, 2], "span": 0.5, "points": 5}
    ).json()
    exact = network.copy(dtype="float64")
    own = float(exact.parameters["conv.weight"][1, 0, 2, 2])
    assert found["value"] == own
    np.testing.assert_allclose(found["values"], own + np.array([-0.5, -0.25, 0, 0.25, 0.5]))
    losses = []
    for value in found["values"]:
        exact.parameters["conv.weight"][1, 0, 2, 2] = value
        losses.append(exact.evaluate(x, y)["loss"])
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-12)
    assert found["losses"][2] == found["loss"]
    gradient = network.trace(x, y, training=False)["conv"].gradients["weight"][1, 0, 2, 2]
    assert found["gradient"] == pytest.approx(float(gradient), rel=1e-4)
    np.testing.assert_allclose(np.diff(found["predicted"]), 0.25 * found["gradient"], rtol=1e-9)
    assert found["check"]["error"] < 1e-6
    # a pixel, as the first layer sees it
    pixel = client.post("/api/nudge", json={"tensor": "input", "index": [0, 1, 1], "span": 0.1}).json()
    assert pixel["value"] == x[0, 0, 1, 1] / 255
    assert len(pixel["losses"]) == 21
    assert pixel["check"]["error"] < 1e-6


def test_labels_and_modes(client, network, dataset):
    x = dataset.x_test[:1]
    state = client.post("/api/label", json={"label": 2}).json()
    assert state["loss"] == pytest.approx(network.trace(x, [2], training=False).loss)
    assert (state["target"], state["sample"]["label"]) == ([0, 0, 1], 2)
    state = client.post("/api/mode", json={"training": True, "batch": 4}).json()
    together = np.concatenate([x, dataset.x_train[:3]]), np.concatenate([[2], dataset.y_train[:3]])
    assert state["loss"] == pytest.approx(network.trace(*together).loss)
    assert state["mode"] == {"training": True, "batch": 4}
    packed = {"tensors": [{"what": "value", "name": "input", "sample": 3}]}
    found = unpack(client.post("/api/tensors", json=packed).json()["tensors"][0])
    np.testing.assert_allclose(found, dataset.x_train[2] / 255, rtol=1e-6)
    assert error(client.post("/api/label", json={"label": 3})).startswith("DataError: label 3 of sample 0 is out of")
    assert error(client.post("/api/mode", json={"training": True, "batch": 33})).startswith(
        "ConfigError: the body: batch"
    )


def test_drawings_and_pictures(client, network):
    pillow = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6), np.uint8)
    drawn = {"width": 6, "height": 6, "channels": 1, "data": base64.b64encode(pixels.tobytes()).decode()}
    state = client.post("/api/drawing", json=drawn).json()
    assert state["sample"] == {"source": "drawing", "split": None, "index": None, "label": 0}
    expected = network.predict(pixels[None, None])[0]
    assert state["prediction"]["probabilities"] == pytest.approx(expected, rel=1e-5)
    file = io.BytesIO()
    pillow.fromarray(pixels.T).save(file, "PNG")
    state = client.post("/api/image", content=file.getvalue(), headers={"Content-Type": "image/png"}).json()
    assert state["sample"]["source"] == "image"
    expected = network.predict(np.ascontiguousarray(pixels.T)[None, None])[0]
    assert state["prediction"]["probabilities"] == pytest.approx(expected, rel=1e-5)
    assert error(client.post("/api/image", content=b"no image")).startswith("DataError: the picture is not an image")
    assert error(client.post("/api/drawing", json={**drawn, "width": 7})).endswith("has 42 bytes, got 36")
    # a picture that was refused changes nothing
    assert client.get("/api/state").json() == state


def test_the_gallery(client, dataset):
    found = client.get("/api/gallery?split=train&start=58&count=9").json()
    assert (found["split"], found["start"], found["total"], found["shape"]) == ("train", 58, 60, [1, 6, 6])
    assert found["labels"] == [1, 2]
    assert base64.b64decode(found["data"]) == dataset.x_train[58:].tobytes()
    assert client.get("/api/gallery?split=test&start=99").json()["labels"] == []


def test_the_model_file(client, network, tmp_path):
    answer = client.get("/api/save")
    assert answer.headers["content-disposition"] == 'attachment; filename="pellucid.safetensors"'
    (tmp_path / "m.safetensors").write_bytes(answer.content)
    loaded = Network.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.flat_parameters, network.flat_parameters)


def test_two_browsers_do_not_mix(client, other, network):
    start = other.get("/api/state").json()
    client.post("/api/sample", json={"split": "train", "index": 5})
    client.post("/api/label", json={"label": 1})
    client.post("/api/train/run", json={"steps": 3})
    while client.get("/api/train").json()["running"]:
        pass
    assert other.get("/api/state").json() == start
    assert other.get("/api/train").json()["points"] == []
    (packed,) = other.post("/api/tensors", json={"tensors": [{"what": "parameter", "name": "fc.weight"}]}).json()[
        "tensors"
    ]
    np.testing.assert_array_equal(unpack(packed), network.parameters["fc.weight"])
    (packed,) = client.post("/api/tensors", json={"tensors": [{"what": "parameter", "name": "fc.weight"}]}).json()[
        "tensors"
    ]
    assert (unpack(packed) != network.parameters["fc.weight"]).any()


def test_sessions_give_way_to_newer_ones(client):
    first = client.headers["X-Session"]
    ids = {client.post("/api/session").json()["session"] for _ in range(16)}
    assert len(ids) == 16
    assert error(client.get("/api/state"), 404).startswith("UnknownSession: no such session")
    client.headers["X-Session"] = ids.pop()
    assert client.get("/api/state").status_code == 200
    assert first not in ids


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        (
            "GET",
            "/api/cell?node=conv&index=0,0,4",
            None,
            400,
            "ShapeError: value of 'conv' has shape (4, 4, 4); there is",
        ),
        ("GET", "/api/cell?node=conv&index=0,0", None, 400, "ShapeError: value of 'conv' has shape"),
        ("GET", "/api/cell?node=cnv&index=0", None, 400, "ConfigError: no layer called 'cnv' (did you mean 'conv'?)"),
        ("GET", "/api/cell?node=conv&index=0,0,0&what=all", None, 400, "ConfigError: no kind of number called 'all'"),
        ("GET", "/api/cell?node=conv&index=0,0,0&sample=1", None, 400, "ShapeError: the trace holds 1 samples"),
        ("GET", "/api/cell?index=0", None, 400, "ConfigError: the query lacks 'node'"),
        ("GET", "/api/state?x=1", None, 400, "ConfigError: the query has no field 'x'; it takes nothing"),
        ("GET", "/api/gallery?split=all", None, 400, "ConfigError: the query: split must be one of test, train"),
        ("POST", "/api/sample", b'{"split": "test", "index": 12}', 400, "DataError: there is no test sample 12; they"),
        ("POST", "/api/sample", b'{"split": "test"}', 400, "ConfigError: the body lacks 'index'"),
        ("POST", "/api/sample", b"{", 400, "ConfigError: the body is not JSON"),
        ("POST", "/api/sample", b"\xff\xfe", 400, "ConfigError: the body is not JSON"),
        ("POST", "/api/sample", b"[" * 100_000, 400, "ConfigError: the body is not JSON"),
        (
            "POST",
            "/api/sample",
            b'{"split": "test", "index": NaN}',
            400,
            "ConfigError: the body is not JSON: JSON has no",
        ),
        (
            "POST",
            "/api/sample",
            b'{"split": "test", "index": ' + b"9" * 5000 + b"}",
            400,
            "ConfigError: the body is not",
        ),
        ("POST", "/api/sample", b"[]", 400, "ConfigError: the body must be a JSON object, got []"),
        ("POST", "/api/sample", b"", 400, "ConfigError: the body is not JSON"),
        ("POST", "/api/sample?x=1", b"{}", 400, "ConfigError: the query has no field 'x'"),
        (
            "POST",
            "/api/train/run",
            b'{"learning_rate": 0}',
            400,
            "ConfigError: the body: learning_rate must be a number",
        ),
        ("POST", "/api/nudge", b'{"tensor": "conv.weight", "index": [9, 0, 0, 0]}', 400, "DataError: conv.weight has"),
        (
            "POST",
            "/api/nudge",
            b'{"tensor": "x", "index": []}',
            400,
            "DataError: no tensor called 'x'; there are input",
        ),
        (
            "POST",
            "/api/tensors",
            b'{"tensors": [{"what": "value", "name": "x"}]}',
            400,
            "DataError: no node called 'x'",
        ),
        (
            "POST",
            "/api/tensors",
            b'{"tensors": [{"what": "gradient", "name": "conv"}]}',
            400,
            "DataError: no parameter",
        ),
        (
            "POST",
            "/api/tensors",
            b'{"tensors": [{"what": "value", "name": "conv", "channels": [2, 5]}]}',
            400,
            "DataError: value of conv has 4 channels, there are none from 2 to 5",
        ),
        ("GET", "/api/nothing", None, 404, "HTTPError: Not Found"),
        ("GET", "/api", None, 404, "HTTPError: Not Found"),
        ("DELETE", "/api/state", None, 405, "HTTPError: Method Not Allowed"),
        ("POST", "/", None, 405, "HTTPError: Method Not Allowed"),
    ],
)
def test_malformed_requests(client, method, path, body, status, told):
    answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert error(answer, status).startswith(told)
    assert client.get("/api/state").status_code == 200


def test_forms_of_other_sites(client):
    told = client.post("/api/label", content='{"label": 1}', headers={"Content-Type": "text/plain"})
    assert error(told, 415) == "ConfigError: the body must be JSON, with Content-Type: application/json"
    told = client.post("/api/label", json={"label": 1}, headers={"Origin": "http://evil.example"})
    assert error(told, 403).startswith("ForeignOrigin")
    assert error(client.get("/", headers={"Host": "evil.example"}), 403).startswith("ForeignHost")


def test_without_a_session(client):
    del client.headers["X-Session"]
    for path in ("/api/model", "/api/state", "/api/save", "/api/handout"):
        assert error(client.get(path), 404).startswith("UnknownSession")
    assert client.get("/api/openapi.json").status_code == 200


def test_the_page_and_nothing_beside_it(client):
    page = client.get("/")
    assert page.text.startswith("<!doctype html>")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/explorer.css").headers["cache-control"] == "no-cache"
    for path in (
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/.%00./secret.txt",
        "/%00",
        "//etc/passwd",
        "/..\\secret.txt",
        "/" + "x" * 5000,
    ):
        answer = client.get(path)
        assert answer.status_code in (400, 404), path
        assert answer.json()["error"]["type"] == "HTTPError"


def test_a_link_out_of_the_page_leads_nowhere(client, page):
    (page / "link.txt").symlink_to(page.parent / "secret.txt")
    assert client.get("/link.txt").status_code == 404


def test_a_fault_of_the_server(client, monkeypatch, caplog):
    monkeypatch.setattr("pellucid.explain.explorer.session.pack", lambda array: 1 / 0)
    asked = {"tensors": [{"what": "value", "name": "conv"}]}
    told = error(client.post("/api/tensors", json=asked), 500)
    assert told == "InternalError: this is a fault of Pellucid's; the terminal shows more"
    assert "ZeroDivisionError" in caplog.text
    assert client.get("/api/state").status_code == 200
