import base64
import gzip
import json
import re

import numpy as np
import pytest

from pellucid.errors import ConfigError
from pellucid.explain import inspect
from pellucid.explain.explorer import Session, Subject, make_handout
from pellucid.layers import Conv2d, Flatten, Linear, Residual
from pellucid.network import Network


def data_of(html):
    (packed,) = re.findall(r'<script type="text/plain" id="pellucid-handout">([A-Za-z0-9+/=]+)</script>', html)
    return json.loads(gzip.decompress(base64.b64decode(packed)), parse_constant=pytest.fail)


def test_the_page_holds_everything(subject, page):
    html = make_handout(subject, Session(subject), page).decode()
    assert "src=" not in html
    assert "href=" not in html
    assert r'<script type="module">const text = "<\/script><\!--";' in html
    assert "<style>body { margin: 0 }\n</style>" in html
    assert "default-src 'none'" in html
    assert html.count("</script>") == 2
    assert make_handout(subject, Session(subject), page).decode() == html


def test_its_numbers_are_those_of_the_trace(subject, page, network, dataset):
    session = Session(subject)
    session.choose("test", 4)
    told = data_of(make_handout(subject, session, page).decode())
    trace = network.trace(dataset.x_test[4:5], dataset.y_test[4:5], training=False)
    assert (told["format"], told["model"]["name"], told["state"]["sample"]["index"]) == (1, "small", 4)
    assert told["state"]["loss"] == pytest.approx(trace.loss)
    arrays = {"value input": trace.input[0], "delta input": trace.input_delta[0]}
    for step in trace:
        arrays |= {f"value {step.name}": step.output[0], f"delta {step.name}": step.delta[0]}
        arrays |= {f"gradient {step.name}.{key}": value for key, value in step.gradients.items()}
    arrays |= {f"parameter {name}": value for name, value in network.parameters.items()}
    assert told["tensors"].keys() == arrays.keys()
    for key, packed in told["tensors"].items():
        np.testing.assert_array_equal(
            np.frombuffer(base64.b64decode(packed["data"]), "<f4").reshape(packed["shape"]), arrays[key]
        )


def test_its_cells_lead_from_the_loss_to_a_pixel(subject, page, network, dataset):
    told = data_of(make_handout(subject, Session(subject), page).decode())
    cells = told["cells"]
    trace = network.trace(dataset.x_test[:1], dataset.y_test[:1], training=False)
    held, whole = cells["value conv 1,2,3"], inspect(network, trace, "conv", (1, 2, 3)).to_json()
    assert {**held, "terms": []} == {**whole, "terms": []}
    for term, own in zip(held["terms"], whole["terms"], strict=True):
        assert term["value"] == pytest.approx(own["value"], rel=1e-6)
        assert [f["value"] for f in term["factors"]] == pytest.approx([f["value"] for f in own["factors"]], rel=1e-6)
        assert [f["link"] for f in term["factors"]] == [f["link"] for f in own["factors"]]
    assert cells["loss loss "]["value"] == trace.loss
    key, seen = "delta fc 1", []
    while key in cells and key not in seen:
        seen.append(key)
        terms = sorted(cells[key]["terms"], key=lambda term: -abs(term["value"]))
        links = [factor["link"] for term in terms[:1] for factor in term["factors"] if factor["link"]]
        onward = [link for link in links if link["what"] in ("value", "delta", "prediction", "partition")]
        if not onward:
            break
        link = onward[0]
        key = f"{link['what']} {link['node']} {','.join(map(str, link['index']))}".rstrip()
        key = key if key in cells else key + " "
    assert seen[-1].startswith("value input")


def test_a_large_network_s_arrays_are_rounded_and_its_cells_are_not(normalized, dataset, page, monkeypatch):
    monkeypatch.setattr("pellucid.explain.explorer.handout._EXACT_OF_ALL", 100)
    monkeypatch.setattr("pellucid.explain.explorer.handout._EXACT_OF_ONE", 36)
    session = Session(Subject("normalized", normalized, dataset))
    told = data_of(make_handout(Subject("normalized", normalized, dataset), session, page).decode())
    count = told["state"]["mode"]["batch"]
    x = np.concatenate([dataset.x_test[:1], dataset.x_train[: count - 1]])
    y = np.concatenate([dataset.y_test[:1], dataset.y_train[: count - 1]])
    trace = normalized.trace(x, y, training=True)
    assert "step" not in told["tensors"]["value fc"]
    for step in trace:
        packed = told["tensors"][f"value {step.name}"]
        if step.output[0].size <= 36:
            continue
        numbers = np.frombuffer(base64.b64decode(packed["data"]), np.int8).reshape(packed["shape"]) * packed["step"]
        np.testing.assert_allclose(numbers, step.output[0], rtol=0, atol=np.abs(step.output[0]).max() / 253)
    normal = [cell for key, cell in told["cells"].items() if key.startswith("value bn ") and not cell["sample"]]
    assert len(normal) >= 4
    for cell in normal:
        value = float(trace["bn"].output[0][tuple(cell["index"])])
        assert (cell["value"], cell["total"]) == (value, pytest.approx(value, rel=1e-4, abs=1e-6))


def test_a_residual_s_sum_leads_both_ways(dataset, page):
    block = Residual([Conv2d(2, 3, padding="same", name="inner")], name="block")
    network = Network(
        [Conv2d(2, 3, name="conv"), block, Flatten(), Linear(3, name="fc")], (1, 6, 6), engine="reference"
    )
    subject = Subject("residual", network, dataset)
    cells = data_of(make_handout(subject, Session(subject), page).decode())["cells"]
    (add,) = (node.name for node in network.graph.nodes if len(node.inputs) == 2)
    terms = cells[f"value {add} 1,2,3"]["terms"]
    assert {factor["link"]["node"] for term in terms for factor in term["factors"] if factor["link"]} == {
        "conv",
        "block.inner",
    }
    assert sum(term["value"] for term in terms) == pytest.approx(cells[f"value {add} 1,2,3"]["value"], rel=1e-5)


def test_what_is_too_large_stays_out(subject, page, monkeypatch):
    monkeypatch.setattr("pellucid.explain.explorer.handout._MOST_OF_ONE", 20)
    monkeypatch.setattr("pellucid.explain.explorer.handout._MOST_CELLS", 30)
    told = data_of(make_handout(subject, Session(subject), page).decode())
    assert "value input" not in told["tensors"]
    assert "value fc" in told["tensors"]
    assert len(told["cells"]) == 30


def test_pages_that_will_not_do(subject, page):
    whole = (page / "index.html").read_text()
    (page / "index.html").write_text(whole.replace("pellucid-handout", "other"))
    with pytest.raises(ConfigError, match=r"index\.html cannot be made into a hand-out; build the page again"):
        make_handout(subject, Session(subject), page)
    (page / "index.html").unlink()
    with pytest.raises(ConfigError, match=r"the explorer's page is not there \(.*No such file"):
        make_handout(subject, Session(subject), page)
