"""What the tests of training share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what a file holds is tested, not whether it outlives a power cut."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
