from typing import Any

from pellucid.arrays import Array

__version__: str

openmp: bool

def instruction_set() -> str: ...
def openmp_threads() -> tuple[int, int, int]: ...
def multiply_add_peak(isa: str, seconds: float, threads: int) -> float: ...

class Runner:
    def __init__(
        self,
        slots: list[tuple[int, ...]],
        steps: list[dict[str, Any]],
        input: int,
        output: int,
        loss: int,
        arena: int,
        parameters: int,
        packed: int,
        isa: str,
    ) -> None: ...
    def run(
        self,
        images: Array,
        rows: Array,
        params: Array,
        outputs: Array,
        threads: int,
        mean: Array | None = None,
        target: Array | None = None,
        weight: Array | None = None,
        gradients: Array | None = None,
    ) -> float: ...
    def time_step(self, step: int, pass_: str, params: Array, repetitions: int, threads: int) -> float: ...
