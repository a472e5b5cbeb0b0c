"""Trainings that are killed at random moments; ``kill_and_resume.py`` says how."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

SCRIPT = Path(__file__).parents[1] / "kill_and_resume.py"
KILLS = int(os.environ.get("PELLUCID_KILLS", "10"))


@pytest.mark.slow  # about ten seconds; 200 kills take three minutes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its trainings")
def test_a_killed_training_ends_as_one_that_nobody_disturbed() -> None:
    ended = subprocess.run([sys.executable, SCRIPT, str(KILLS)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert told["kills"] >= KILLS
    assert told["inside a save"] > 0
