"""What the explorer's tests share: a small network with data, a page, and a browser of sorts."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import Network
from pellucid.data import Dataset
from pellucid.explain.explorer import Subject
from pellucid.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU

PAGE = """<!doctype html>
<html><head><title>t</title>
<script type="module" crossorigin src="./explorer.js"></script>
<link rel="stylesheet" crossorigin href="./explorer.css">
</head><body><script type="text/plain" id="pellucid-handout"></script></body></html>
"""


def bands(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images of 6×6 with a bright band in the upper, middle or lower third: the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 60, (count, 1, 6, 6))
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 2] += 180
    return images.astype(np.uint8), labels


@pytest.fixture(scope="session")
def dataset():
    return Dataset("bands", *bands(60, 0), *bands(12, 1), ("upper", "middle", "lower"))


@pytest.fixture
def network():
    layers = [Conv2d(4, 3, name="conv"), ReLU(), MaxPool2d(2), Flatten(), Linear(3, name="fc")]
    return Network(layers, (1, 6, 6), seed=3, engine="reference")


@pytest.fixture
def normalized():
    layers = [Conv2d(4, 3, name="conv"), BatchNorm2d(name="bn"), ReLU(), Flatten(), Linear(3, name="fc")]
    return Network(layers, (1, 6, 6), seed=3, engine="reference")


@pytest.fixture
def subject(network, dataset):
    return Subject("small", network, dataset)


@pytest.fixture
def page(tmp_path):
    """A page as Vite builds it."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    (folder / "explorer.js").write_text('const text = "</script><!--";\n')
    (folder / "explorer.css").write_text("body { margin: 0 }\n")
    (tmp_path / "secret.txt").write_text("not for the page")
    return folder


@pytest.fixture
def client(subject, page):
    """A browser that has opened the page: the session's id goes with every request."""
    pytest.importorskip("starlette", reason="the explorer is served with Starlette")
    from starlette.testclient import TestClient

    from pellucid.explain.explorer.app import create_app

    # Faults of the server answer 500, which tests then see as such.
    app = create_app(subject, page)
    browser = TestClient(app, base_url="http://localhost:8765", raise_server_exceptions=False)
    browser.headers["X-Session"] = browser.post("/api/session").json()["session"]
    return browser
