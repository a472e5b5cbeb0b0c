"""A side in a process of its own, so that threads, libraries and memory of the sides do not mix."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from time import perf_counter, sleep
from typing import Any

from benchmarks.deep_sides import DeepJob
from benchmarks.kernels import KernelJob, Pass
from benchmarks.machine import peak_of_memory
from benchmarks.rounds import Round
from benchmarks.sides import Job
from pellucid.arrays import Tensors

SIDES = {
    "Pellucid": "ours",
    "PyTorch": "pytorch",
    "ONNX Runtime": "onnx_runtime",
    "JAX": "jax_cpu",
    "kernel": "kernel_side",
    "deep Pellucid": "deep_ours",
    "deep PyTorch": "deep_pytorch",
}

#: seconds for the other side's threads to stop spinning
SETTLE = 0.02

#: seconds of a step beside which waking threads and filling caches is nothing
LONG = 0.5

_SPAWN = multiprocessing.get_context("spawn")


class WorkerError(RuntimeError):
    """A side could not do what it was asked."""


class Worker:
    """The process of one side; end it with :meth:`close`, or use it in a ``with`` block.

    Args:
        side: a key of :data:`SIDES`.
        job: what it is to do.

    Raises:
        WorkerError: the side cannot be set up; so do all methods if the process fails or dies.
    """

    def __init__(self, side: str, job: Job | KernelJob | DeepJob) -> None:
        self.side, self.job = side, job
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, side, job), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.told: str = self._receive()
        except WorkerError:
            self.close()
            raise

    def weights(self) -> Tensors:
        """Return the weights the side starts from."""
        return self._call("weights")

    def answer(self, within: float | None = None) -> Any:
        """Return the side's answer, or raise WorkerError if it takes more than ``within`` seconds."""
        return self._call("answer", within=within)

    def seconds(self, times: int) -> float:
        """Return how long the side takes to do the work so many times, from the starting weights."""
        sleep(SETTLE)
        return self._call("seconds", times)

    def megabytes(self, times: int) -> float:
        """Return by how much doing the work so many times raises the peak of resident memory; only once a process."""
        return self._call("megabytes", times)

    def rounds(self, which: Pass, threads: int, seconds: float, least: int) -> list[Round]:
        """Return a kernel's rounds; see :mod:`benchmarks.kernel_side`."""
        return self._call("rounds", which, threads, seconds, least)

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, *arguments: Any, within: float | None = None) -> Any:
        self._connection.send((method, arguments))
        return self._receive(within)

    def _receive(self, within: float | None = None) -> Any:
        try:
            if not self._connection.poll(within):
                self.close()  # or it would go on working beside the others
                raise WorkerError(f"{self.side} did not answer within {within:g} s")
            worked, result = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise WorkerError(f"{self.side}'s process died, {how}") from None
        if not worked:
            raise WorkerError(f"{self.side}: {result}")
        return result


class _Server:
    """What runs in the process."""

    def __init__(self, side: str, job: Job | KernelJob | DeepJob) -> None:
        build: Callable[[Any], Any] = import_module(f"benchmarks.{SIDES[side]}").build
        self.side = build(job)
        self.baseline = peak_of_memory()
        self.pace = 0.0

    def weights(self) -> Tensors:
        return self.side.weights()

    def answer(self) -> Any:
        return self.side.answer()

    def seconds(self, times: int) -> float:
        self.side.reset()
        if self.pace < LONG:
            self.side.run(max(1, times // 20))  # wakes threads and fills caches
            self.side.reset()
        started = perf_counter()
        self.side.run(times)
        taken = perf_counter() - started
        self.pace = taken / times
        return taken

    def megabytes(self, times: int) -> float:
        self.side.run(times)
        return (peak_of_memory() - self.baseline) / 1e6

    def rounds(self, which: Pass, threads: int, seconds: float, least: int) -> list[Round]:
        return self.side.rounds(which, threads, seconds, least)


def _serve(connection: Connection, side: str, job: Job | KernelJob | DeepJob) -> None:
    try:
        server = _Server(side, job)
        connection.send((True, server.side.told))
        while True:
            method, arguments = connection.recv()
            connection.send((True, getattr(server, method)(*arguments)))
    except EOFError:  # the other end is closed: there is no more to do
        return
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        connection.send((False, f"{type(error).__name__}: {first_line}"))
