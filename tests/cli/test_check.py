import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import Flatten, Linear, ReLU


def test_a_network_of_the_zoo(cli):
    told = cli.json("check", "nguyen", "--samples", 5)
    assert told["passed"] is True
    assert told["error"] <= told["tolerance"] == 1e-6
    tensors = [(entry["layer"], entry["tensor"]) for entry in told["tensors"]]
    assert tensors == [
        ("input", "input"),
        *(("conv1", "weight"), ("conv1", "bias")),
        *(("conv2", "weight"), ("conv2", "bias")),
        *(("fc", "weight"), ("fc", "bias")),
    ]
    assert told["checked"] == 7 * 5
    assert told["worst"] == max(told["tensors"], key=lambda entry: entry["error"])
    assert told["error"] == told["worst"]["error"]


def test_batch_norm(cli):
    told = cli.json("check", "grishin", "--batch-norm", "--samples", 2)
    assert told["passed"] is True
    assert ("bn1", "weight") in [(entry["layer"], entry["tensor"]) for entry in told["tensors"]]


@pytest.fixture
def small(tmp_path):
    """A model file in float32 with 6 inputs and 8 + 10 parameters."""
    path = tmp_path / "small.safetensors"
    Network([Flatten(), Linear(2, name="a"), ReLU(), Linear(3, name="b")], (1, 2, 3)).save(path)
    return path


def test_a_model_file_entry_by_entry(cli, small):
    told = cli.json("check", small, "--every-entry", "--batch", 5)
    assert told["passed"] is True
    assert told["checked"] == 5 * 6 + (2 * 6 + 2) + (3 * 2 + 3)
    assert cli.json("check", small, "--batch", 5)["checked"] == told["checked"]  # fewer than 100 of each


def test_the_seed_chooses_the_entries(cli):
    first, again, other = (cli.json("check", "nguyen", "--samples", 1, "--seed", s)["worst"] for s in (1, 1, 2))
    assert first == again != other


def test_table(cli):
    result = cli("check", "nguyen", "--samples", 3)
    rows = [line.split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    assert [f"{row[1].strip()}.{row[2].strip()}" for row in rows] == [
        *("input.input", "conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc.weight", "fc.bias")
    ]
    for row in rows:
        analytic, numeric = float(row[4]), float(row[5])
        assert analytic == pytest.approx(numeric, rel=1e-4, abs=1e-4)
    assert "gradient check passed: 21 entries" in result.stdout
    assert "…" not in result.stdout
    assert result.stderr == ""


def test_a_wrong_gradient_ends_with_1(cli, small, monkeypatch):
    monkeypatch.setattr(ReLU, "backward", lambda self, params, saved, dy: (1.001 * dy * saved, {}))
    told = cli.json("check", small, code=1)
    assert told["passed"] is False
    assert told["error"] == pytest.approx(1e-3, rel=0.01)
    assert told["worst"]["layer"] in ("input", "a")
    wrong = {(entry["layer"], entry["tensor"]) for entry in told["tensors"] if entry["error"] > 1e-6}
    assert wrong == {("input", "input"), ("a", "weight"), ("a", "bias")}
    plain = cli("check", small, code=1)
    assert "gradient check FAILED" in plain.stdout
    cli("check", small, "--tolerance", 0.01)


def test_a_gradient_that_is_nan(cli, small, monkeypatch):
    monkeypatch.setattr(ReLU, "backward", lambda self, params, saved, dy: (np.full_like(dy, np.nan), {}))
    told = cli.json("check", small, code=1)
    assert told["passed"] is False
    assert told["error"] is None
    assert told["worst"]["analytic"] is None


def test_wrong_usage(cli):
    result = cli("check", "nguyen", "--samples", 3, "--every-entry", code=2)
    assert "give --samples or --every-entry, not both" in result.stderr
    cli("check", "nguyen", "--samples", 0, code=2)
    cli("check", code=2)
