import subprocess
import sys
from importlib.metadata import version

import pytest

from pellucid import zoo
from pellucid.data import catalogue


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_version_says_what_was_compiled(cli, monkeypatch):
    monkeypatch.setattr("pellucid.engine.instruction_set", lambda: "avx2")
    monkeypatch.setattr("pellucid.engine.uses_threads", lambda: True)
    assert cli("--version").stdout == f"pellucid {version('pellucid')} (compiled part: avx2)\n"
    monkeypatch.setattr("pellucid.engine.uses_threads", lambda: False)
    told = "(compiled part: avx2, without OpenMP: one thread)"
    assert cli("--version").stdout == f"pellucid {version('pellucid')} {told}\n"
    monkeypatch.setattr("pellucid.engine.instruction_set", lambda: None)
    told = "(installed without a C++ compiler: reference engine only)"
    assert cli("--version").stdout == f"pellucid {version('pellucid')} {told}\n"


def test_help_lists_the_commands_and_the_exit_codes(cli):
    text = " ".join(cli("--help").stdout.split())
    for command in ("train", "evaluate", "predict", "runs", "summary", "check", "export"):
        assert f"│ {command} " in text
    assert "Exit codes: 0 fine, 1 a wrong gradient, 2 wrong usage, 3 an error, 130 interrupted." in text


@pytest.mark.parametrize("command", ["train", "summary", "check"])
def test_help_names_every_network_of_the_zoo(cli, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    text = cli(command, "--help").stdout
    assert ", ".join(zoo.ZOO) in text


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_names_every_data_set(cli, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    text = cli(command, "--help").stdout
    assert all(name in text for name in ("digits", *catalogue.READERS))


def test_no_command(cli):
    assert "Usage: pellucid [OPTIONS] COMMAND" in cli(code=2).output
    assert "No such command 'fit'" in cli("fit", code=2).stderr


def test_importing_it_loads_nothing_heavy():
    loaded = run("import pellucid.cli, sys; print(*sys.modules)").split()
    heavy = (
        "rich",
        "sklearn",
        "scipy",
        "matplotlib",
        "safetensors",
        "pellucid.training",
        "pellucid.explain",
        "pellucid.zoo",
    )
    assert not [name for name in loaded if name.startswith(heavy)]


def test_brackets_in_a_name_are_printed_as_they_are(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[red]x[").write_text("no model")
    assert "[red]x[" in cli.error("evaluate", "[red]x[")
