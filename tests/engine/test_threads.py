from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pellucid import Network, machine
from pellucid.engine import threads as module
from pellucid.engine.threads import threads
from pellucid.errors import ConfigError
from pellucid.layers import Linear

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SETTINGS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_DYNAMIC")


def run(script: str, **environment: str) -> str:
    """Run a script in a process of its own and return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={**inherited, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# What OpenMP was told.

TOLD = "from pellucid.engine.threads import threads; print(threads())"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "2,4"}, 2),
        ({"OMP_NUM_THREADS": "100000"}, 4 * HERE),
        ({"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, 2),
        ({"OMP_NUM_THREADS": "nonsense"}, HERE),
        ({"OMP_NUM_THREADS": ""}, HERE),
    ],
)
def test_the_environment_is_openmps(environment: dict[str, str], expected: int) -> None:
    assert run(TOLD, **environment) == str(expected)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs os.sched_setaffinity")
def test_processors_that_the_process_may_not_run_on_do_not_count() -> None:
    assert run(f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {TOLD}") == "1"
    later = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(threads(), threads(-1))"
    assert run(f"{TOLD}; {later}") == f"{HERE}\n1 1"


def test_threadpoolctl() -> None:
    before = threads()
    with threadpool_limits(1):
        assert threads() == 1
        with threadpool_limits(3):
            assert threads() == min(3, before)  # a limit, not a wish
        assert (threads(), threads(2)) == (1, 2)
    assert threads() == before


# With n_jobs, and whatever machine it is.


def on_a_machine(
    monkeypatch: pytest.MonkeyPatch, told: tuple[int, int, int], *, asked: bool = False, quota: int | None = None
) -> None:
    """Let OpenMP say how many threads it would use, how many processors there are, and how many threads it may use."""
    monkeypatch.setattr(module, "_compiled", lambda: SimpleNamespace(openmp_threads=lambda: told))
    monkeypatch.setattr(module, "_ASKED", asked)
    monkeypatch.setattr(machine, "processors_worth", lambda: quota)


@pytest.mark.parametrize(
    ("n_jobs", "expected"),
    [
        (None, 6),
        (1, 1),
        (3, 3),
        (20, 20),
        (32, 32),
        (33, 32),
        (10**9, 32),
        (-1, 8),
        (-2, 7),
        (-8, 1),
        (-9, 1),
        (-99, 1),
    ],
)
def test_n_jobs(n_jobs: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_machine(monkeypatch, (6, 8, 1000))
    assert threads(n_jobs) == expected


@pytest.mark.parametrize(
    ("told", "asked", "quota", "expected"),
    [
        # (of itself, n_jobs = -1, n_jobs = 5)
        ((8, 8, 1000), False, None, (8, 8, 5)),
        ((8, 8, 1000), False, 3, (3, 3, 5)),
        ((8, 8, 1000), False, 20, (8, 8, 5)),
        ((2, 8, 1000), False, 3, (2, 3, 5)),
        ((6, 8, 1000), True, 3, (6, 3, 5)),
        ((8, 8, 4), False, None, (4, 4, 4)),
        ((1, 1, 1), False, None, (1, 1, 1)),  # without OpenMP
    ],
)
def test_quotas_and_limits(
    told: tuple[int, int, int],
    asked: bool,
    quota: int | None,
    expected: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_a_machine(monkeypatch, told, asked=asked, quota=quota)
    assert (threads(), threads(-1), threads(5)) == expected


@pytest.mark.parametrize("n_jobs", [0, 1.0, "2", True, np.bool_(True), [1], np.float32(2), float("nan")])
def test_n_jobs_that_are_none(n_jobs: Any) -> None:
    message = r"n_jobs must be a number of threads, -1 for .* or None for OpenMP's setting; got "
    with pytest.raises(ConfigError, match=message):
        Network([Linear(2)], (3,), n_jobs=n_jobs)
    network = Network([Linear(2)], (3,), n_jobs=2)
    with pytest.raises(ConfigError, match=message):
        network.n_jobs = n_jobs
    assert network.n_jobs == 2


def test_a_network_keeps_its_n_jobs_and_its_file_does_not(tmp_path: Path) -> None:
    network = Network([Linear(2)], (3,), n_jobs=np.int64(3))
    network.save(tmp_path / "net.safetensors")
    assert (network.n_jobs, network.copy().n_jobs, network.copy(dtype="float64").n_jobs) == (3, 3, 3)
    assert Network.load(tmp_path / "net.safetensors").n_jobs is None
    assert Network.load(tmp_path / "net.safetensors", n_jobs=-1).n_jobs == -1
    with pytest.raises(ConfigError, match="n_jobs must be a number of threads"):
        Network.load(tmp_path / "net.safetensors", n_jobs=0)
    network.n_jobs = None
    assert network.copy().n_jobs is None


# As many threads as that do run: the system counts them.

COUNT = """
import os
import numpy as np
from pellucid import Network
from pellucid.layers import Linear
network = Network([Linear(2)], (3,), engine="native", n_jobs={n_jobs})
{before}
x = np.zeros((200, 3), np.float32)
before = len(os.listdir("/proc/self/task"))
network.forward(x, batch_size=200)
network.fit(x, np.zeros(200, int), epochs=1, verbose=0)
print(1 + len(os.listdir("/proc/self/task")) - before)
"""
LIMITED = "from threadpoolctl import threadpool_limits; threadpool_limits(1)"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to count threads")
@pytest.mark.parametrize(
    ("before", "n_jobs", "asked", "expected"),
    [
        ("", None, "1", 1),
        ("", None, "3", 3),
        ("", 1, "3", 1),
        ("", 3, "1", 3),
        ("", -1, "1", HERE),
        (LIMITED, None, "3", 1),
        (LIMITED, 2, "3", 2),
    ],
)
def test_the_system_sees_so_many_threads(before: str, n_jobs: int | None, asked: str, expected: int) -> None:
    assert run(COUNT.format(before=before, n_jobs=n_jobs), OMP_NUM_THREADS=asked) == str(expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_has_one() -> None:
    script = """
import os, warnings
from pellucid.engine.threads import threads
warnings.simplefilter("ignore")  # from 3.12 on, Python warns of forking a process with threads
if os.fork():
    os.wait()
print(threads(), threads(3), threads(-1))
"""
    assert run(script, OMP_NUM_THREADS="3") == f"1 1 1\n3 3 {HERE}"
