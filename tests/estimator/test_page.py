"""What docs/scikit-learn.md shows must run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pellucid import Network

PAGE = Path(__file__).parents[2] / "docs/scikit-learn.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {}
    for block in blocks:
        # The first search would start processes; that is tested beside the page.
        with threadpool_limits(1), joblib.parallel_config(backend="threading"):
            exec(compile(block, str(PAGE), "exec"), namespace)
    score, settings = capsys.readouterr().out.splitlines()
    assert float(score) > 0.97
    assert settings.startswith("{'learning_rate': ")
    x, further = namespace["x_test"], namespace["further"]
    saved = Network.load("digits.safetensors")
    np.testing.assert_array_equal(saved.flat_parameters, further.network_.flat_parameters)
    assert further.score(x, namespace["y_test"]) > 0.97
    assert len(namespace["search"].cv_results_["params"]) == 2
