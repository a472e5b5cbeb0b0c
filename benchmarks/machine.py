"""Naming the machine, so that figures can be read."""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import run

from pellucid.engine import instruction_set

PACKAGES = ("pellucid", "numpy", "torch", "onnxruntime", "jax")


@dataclass(frozen=True)
class Machine:
    """Where and with what the figures were taken.

    Attributes:
        processor: the processor's name.
        cores: logical processors that this process may use.
        instruction_set: what Pellucid's compiled part found; None without it.
        system: the operating system.
        versions: Python and the packages, None for those not installed.
        load: mean number of processes at work in the minute before; well below 1 if the machine is idle.
        time: when, UTC.
    """

    processor: str
    cores: int
    instruction_set: str | None
    system: str
    versions: dict[str, str | None]
    load: float
    time: str

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number or '(not installed)'}" for name, number in self.versions.items())
        isa = self.instruction_set or "no compiled part"
        return f"{self.processor}, {self.cores} cores, {isa}, {self.system}, load {self.load:.1f} before\n{versions}"


def this_machine() -> Machine:
    """Return the machine that this runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        processor=_processor(),
        cores=cores,
        instruction_set=os.environ.get("PELLUCID_ISA") or instruction_set(),
        system=f"{platform.system()} {platform.machine()}",
        versions={"Python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        load=os.getloadavg()[0],
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def peak_of_memory() -> int:
    """Return the peak of this process's resident memory in bytes.

    On Linux getrusage would begin with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        told = run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        return told.stdout.strip()
    return platform.processor() or "unknown processor"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
