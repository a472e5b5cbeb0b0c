"""What the tests of the command line share: a way to run it, and a model to run it on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from pellucid.cli import app


class Cli:
    """Runs commands in this process."""

    def __call__(self, *arguments: object, code: int = 0) -> Any:
        """Run a command, and see that it ends with ``code`` and without a traceback."""
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Run a command with ``--json`` and return what it printed: one line, strictly JSON."""
        stdout = self(*arguments, "--json", code=code).stdout
        assert stdout.count("\n") == 1
        return json.loads(stdout, parse_constant=pytest.fail)

    def error(self, *arguments: object) -> str:
        """Run a command that fails with code 3, in both modes; return its message."""
        plain = self(*arguments, code=3)
        assert plain.stdout == ""
        assert plain.stderr.startswith("error: ")
        as_json = self(*arguments, "--json", code=3)
        told = json.loads(as_json.stdout)["error"]
        assert told.keys() == {"type", "message"}
        assert plain.stderr == as_json.stderr == f"error: {told['message']}\n"
        return f"{told['type']}: {told['message']}"


@pytest.fixture(scope="session")
def cli():
    return Cli()


@pytest.fixture(scope="session")
def run_dir(cli, tmp_path_factory):
    """The folder of a short training on the digits."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    folder = tmp_path_factory.mktemp("run")
    cli("train", "--limit", 200, "--epochs", 2, "--run-dir", folder)
    return folder


@pytest.fixture
def model(run_dir):
    """A model file for the digits."""
    return run_dir / "model.safetensors"
