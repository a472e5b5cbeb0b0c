import base64
import gzip
import json
import re
import shutil

import numpy as np
import pytest

from pellucid import Network
from pellucid.explain.explorer import handout as handouts
from pellucid.layers import Flatten, Linear

PAGE = (
    '<head><script type="module" src="./a.js"></script><link rel="stylesheet" href="./a.css"></head>'
    '<script type="text/plain" id="pellucid-handout"></script>'
)


@pytest.fixture
def page(tmp_path, monkeypatch):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    (folder / "a.js").write_text("")
    (folder / "a.css").write_text("")
    monkeypatch.setattr("pellucid.explain.explorer.handout.PAGE", folder)
    return folder


def data_of(path):
    (packed,) = re.findall(r'id="pellucid-handout">([A-Za-z0-9+/=]+)<', path.read_text())
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_export_a_trained_model(cli, model, page, tmp_path, monkeypatch):
    monkeypatch.setattr(handouts, "_MOST_CELLS", 20)
    target = tmp_path / "page.html"
    shown = cli("explore", model, "--export", target, "--index", 3).stdout
    assert shown == f"{target}: {target.stat().st_size:,} bytes\n"
    told = data_of(target)
    # the data set that it was trained on stands in result.json
    assert told["model"]["data"] == {"name": "digits", "train": 1442, "test": 355}
    assert told["state"]["sample"]["index"] == 3
    from pellucid.data import load_dataset

    data = load_dataset("digits")
    assert told["state"]["loss"] == pytest.approx(
        Network.load(model).evaluate(data.x_test[3:4], data.y_test[3:4])["loss"], rel=1e-5
    )


def test_a_network_without_data(cli, page, tmp_path):
    Network([Flatten(), Linear(3)], (1, 5, 5), engine="reference").save(tmp_path / "m.safetensors")
    result = cli("explore", tmp_path / "m.safetensors", "--export", tmp_path / "page.html")
    assert "no data set at hand fits inputs of shape (1, 5, 5); --data gives one" in result.stderr
    assert data_of(tmp_path / "page.html")["model"]["data"] is None
    Network([Linear(3)], (5,), engine="reference").save(tmp_path / "v.safetensors")
    result = cli("explore", tmp_path / "v.safetensors", "--export", tmp_path / "page.html")
    assert "no data set at hand fits inputs of shape (5,); --data takes images only" in result.stderr


def test_a_model_whose_data_has_gone(cli, model, page, tmp_path, monkeypatch):
    """It is shown with what else is at hand: a model comes without its data as often as not."""
    monkeypatch.setattr(handouts, "_MOST_CELLS", 20)
    here = shutil.copy(model, tmp_path)
    (tmp_path / "result.json").write_text(json.dumps({"data": str(tmp_path / "gone" / "images")}))
    result = cli("explore", here, "--export", tmp_path / "page.html")
    assert (
        f"the data that {here} was trained on cannot be had: {tmp_path}/gone/images: there is no such" in result.stderr
    )
    assert data_of(tmp_path / "page.html")["model"]["data"]["name"] == "digits"
    asked = cli("explore", here, "--data", tmp_path / "gone" / "images", code=3).stderr
    assert asked.startswith(f"error: {tmp_path}/gone/images: there is no such file or folder")


def test_faults(cli, page, model, tmp_path, monkeypatch):
    monkeypatch.setattr(handouts, "_MOST_CELLS", 20)

    def fault(*arguments):
        return cli("explore", *arguments, code=3).stderr

    assert "'lenet6' is neither a model file nor a network of the zoo" in fault("lenet6")
    assert "is a model file, which has its layers already; leave out --batch-norm" in fault(model, "--batch-norm")
    assert "there is no folder" in fault(model, "--export", tmp_path / "no" / "page.html")
    assert "digits has no test image 355; they run from 0 to 354" in fault("digits", "--index", 355)
    assert "no data set called 'digit'" in fault("digits", "--data", "digit")
    np.savez(tmp_path / "w.npz", x=np.zeros((30, 1, 9, 9), np.uint8), y=np.arange(30) % 10)
    assert "which stay as they are; grey images of 8×8 were asked for" in fault("digits", "--data", tmp_path / "w.npz")
    assert "digits has images of shape (1, 8, 8), the network takes (1, 28, 28)" in fault("nguyen", "--data", "digits")
    (page / "index.html").unlink()
    assert "the explorer's page is not there" in fault("digits", "--export", tmp_path / "page.html")


def test_serving(cli, monkeypatch):
    asked = []

    def serve(subject, port, *, browse, tell):
        asked.append((subject.name, subject.data.name, port, browse))
        tell("http://localhost:1/")

    monkeypatch.setattr("pellucid.explain.explorer.serve.serve", serve)
    assert cli("explore").stdout == "http://localhost:1/  (Ctrl-C ends)\n"
    cli("explore", "digits", "--port", 0, "--no-browser")
    assert asked == [("digits", "digits", 8765, True), ("digits", "digits", 0, False)]


def test_a_folder_called_like_a_network(cli, monkeypatch, tmp_path):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pellucid.explain.explorer.serve.serve", lambda subject, *_, tell, **__: tell(subject.name))
    assert cli("explore").stdout == "digits  (Ctrl-C ends)\n"
    assert cli("summary", "digits").stdout.startswith("input 1 × 8 × 8, float32")
    assert "is a folder; give the model file in it" in cli("explore", tmp_path, code=3).stderr
