from __future__ import annotations

import subprocess
import sys

HEAVY = ["scipy", "sklearn", "matplotlib", "rich", "typer", "safetensors", "torch", "PIL", "onnx"]


def test_importing_pellucid_loads_nothing_heavy() -> None:
    script = f"import sys, pellucid; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_estimators_are_imported_when_they_are_asked_for() -> None:
    script = (
        "import sys, pellucid; before = 'sklearn' in sys.modules\n"
        "from pellucid import ConvNetClassifier, ConvNetRegressor\n"
        "print(before, 'sklearn' in sys.modules, ConvNetClassifier.__module__, hasattr(pellucid, 'ConvNet'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "pellucid.estimator.classifier", "False"]
