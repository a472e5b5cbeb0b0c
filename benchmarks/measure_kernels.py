"""Measuring one kernel: see that it computes what the reference engine computes, then time its passes one by one."""

from __future__ import annotations

from benchmarks.agreement import differences, worst
from benchmarks.kernel_row import KernelRow, PassRow
from benchmarks.kernels import PASSES, Kernel, KernelJob
from benchmarks.measure import Settings
from benchmarks.worker import Worker, WorkerError
from pellucid.engine import instruction_set

#: part of the time for a row that one pass on so many threads gets: a round is short
PART = 0.1


def measure_kernel(kernel: Kernel, settings: Settings) -> KernelRow:
    """Return the row of a kernel; what goes wrong is written into it."""
    row = KernelRow(kernel)
    if instruction_set() is None:
        row.skipped = "needs the native engine, and Pellucid was installed without a C++ compiler"
        return row
    try:
        with Worker("kernel", KernelJob(kernel, "reference", settings.threads)) as reference:
            expected = reference.answer()
        with Worker("kernel", KernelJob(kernel, "native", settings.threads)) as native:
            row.worst = worst(differences(native.answer(), expected, idle=()))
            if not row.worst.allowed:
                row.refused = str(row.worst)
                return row
            for threads in sorted({1, settings.threads}):
                for which in PASSES:
                    rounds = native.rounds(which, threads, settings.seconds * PART, settings.least)
                    row.passes.append(PassRow(kernel, which, threads, rounds))
    except WorkerError as error:
        row.refused = str(error)
    return row
