from __future__ import annotations

import subprocess
import sys

HEAVY = ["scipy", "sklearn", "matplotlib", "rich", "typer", "safetensors", "torch", "PIL", "onnx"]


def test_importing_pellucid_loads_nothing_heavy() -> None:
    script = f"import sys, pellucid; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
