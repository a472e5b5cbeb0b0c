"""What the documents show must run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_the_layer_of_add_a_layer_passes_its_own_check(capsys) -> None:
    namespace: dict[str, object] = {"__name__": "swish"}
    for block in python_blocks(ROOT / "docs/add-a-layer.md"):
        exec(compile(block, "docs/add-a-layer.md", "exec"), namespace)
    assert "gradient check passed: 384 entries" in capsys.readouterr().out
    net = namespace["net"]
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 8))
    np.testing.assert_allclose(net.predict(images).sum(axis=1), 1, rtol=1e-5)
