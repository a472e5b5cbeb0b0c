import base64
import gzip
import json
import re

import numpy as np
import pytest

from pellucid.errors import ConfigError
from pellucid.explain import inspect
from pellucid.explain.explorer import Session, make_handout


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
    assert cells["value conv 1,2,3"] == inspect(network, trace, "conv", (1, 2, 3)).to_json()
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
