"""The compiled part, called as nobody should: it raises, and never reads or writes where it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import misaligned
from native_nets import build

from pellucid.engine.steps import Step
from pellucid.layers import Linear

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def arguments(**changed: Any) -> dict[str, Any]:
    """Return what a network (4,) → (2,) with 10 parameters passes for 3 samples."""
    return {
        "images": np.ones((3, 4), np.float32),
        "rows": np.arange(3),
        "params": np.ones(10, np.float32),
        "outputs": np.full((3, 2), 7, np.float32),
        "threads": 1,
        "target": np.zeros((3, 2), np.float32),
        "weight": np.ones(3, np.float32),
        "gradients": np.full(10, 7, np.float32),
        **changed,
    }


def runner() -> Any:
    return build([Linear(2)], (4,))._native._runner


def test_called_right() -> None:
    given = arguments()
    runner().run(**given)
    assert given["outputs"].tolist() == [[5.0, 5.0]] * 3
    given = arguments(target=None, weight=None, gradients=None, rows=np.array([2, 0, 2]))
    given["images"] = np.array([[0] * 4, [1] * 4, [51] * 4], np.uint8)
    runner().run(**given)
    np.testing.assert_allclose(given["outputs"], np.array([[1.8, 1.8], [1, 1], [1.8, 1.8]]), rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"images": np.ones((3, 5), np.float32)}, ValueError, "images do not fit the network's input"),
        ({"images": np.ones((3, 4))}, ValueError, "images must be uint8 or float32"),
        ({"images": np.ones((3, 4), np.int8)}, ValueError, "images must be uint8 or float32"),
        (
            {"images": np.ones((0, 4), np.float32), "target": np.ones((0, 2), np.float32)},
            ValueError,
            "a row number is out",
        ),
        ({"images": np.float32(1)}, ValueError, "images do not fit"),
        ({"images": None}, TypeError, "incompatible function arguments"),
        ({"rows": np.array([0, 1, 3])}, ValueError, "a row number is out of range"),
        ({"rows": np.array([0, -1, 2])}, ValueError, "a row number is out of range"),
        ({"rows": np.array([0, 2**62, 2])}, ValueError, "a row number is out of range"),
        ({"rows": np.arange(2)}, ValueError, r"outputs must be \(count, classes\)"),
        ({"rows": np.zeros((3, 1), np.int64)}, TypeError, "incompatible function arguments"),
        (
            {"rows": np.zeros(0, np.int64), "outputs": np.zeros((0, 2), np.float32)},
            ValueError,
            "count must be at least 1",
        ),
        ({"params": np.ones(9, np.float32)}, ValueError, "wrong number of parameters"),
        ({"outputs": np.zeros((3, 3), np.float32)}, ValueError, r"outputs must be \(count, classes\)"),
        ({"outputs": np.zeros((3, 2))}, TypeError, "incompatible function arguments"),
        ({"outputs": np.zeros((2, 3), np.float32).T}, TypeError, "incompatible function arguments"),
        ({"outputs": np.broadcast_to(np.float32(0), (3, 2))}, TypeError, "incompatible function arguments"),
        ({"threads": 0}, ValueError, "threads and count must be at least 1"),
        ({"threads": -3}, ValueError, "threads and count must be at least 1"),
        ({"threads": 2**40}, TypeError, "incompatible function arguments"),
        ({"mean": np.zeros(3, np.float32)}, ValueError, "the mean does not fit the network's input"),
        ({"target": None}, ValueError, "gradients need targets and weights"),
        ({"weight": None}, ValueError, "gradients need targets and weights"),
        ({"weight": None, "gradients": None}, ValueError, r"weights must be \(count,\)"),
        ({"target": np.zeros((2, 2), np.float32)}, ValueError, r"targets must be \(N, classes\)"),
        ({"weight": np.ones(4, np.float32)}, ValueError, r"weights must be \(count,\)"),
        ({"gradients": np.zeros(11, np.float32)}, ValueError, "gradients must be as many as parameters"),
        ({"gradients": np.zeros(10)}, TypeError, "incompatible function arguments"),
        ({"gradients": np.zeros(20, np.float32)[::2]}, TypeError, "incompatible function arguments"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_called_wrong_it_raises(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        runner().run(**arguments(**changed))


@pytest.mark.parametrize("name", ["images", "rows", "params", "outputs", "mean", "target", "weight", "gradients"])
def test_an_array_between_the_boundaries_of_its_numbers_is_refused(name: str) -> None:
    given = arguments(mean=np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="an array is not aligned to its numbers"):
        runner().run(**{**given, name: misaligned(given[name])})


def test_a_program_that_is_none_is_refused() -> None:
    native = pytest.importorskip("pellucid._native")
    empty = {"slots": [], "steps": [], "input": 5, "output": 7, "loss": 0, "arena": 0, "parameters": 0, "packed": 0,
             "scratch": 0, "isa": "baseline"}  # fmt: skip
    with pytest.raises(ValueError, match="input, output or loss is out of range"):
        native.Runner(**laid_out(empty))
    outside = {**empty, "slots": [(1, 2, 2, 0, 0, 4)], "input": 0, "output": 0, "arena": 7}
    with pytest.raises(ValueError, match="a slot lies outside the arena"):
        native.Runner(**laid_out(outside))
    for layouts, message in (
        ({"training": ([], [0], 0)}, "the layouts have different slots"),
        ({"training": ([(1, 2, 2, 0, 0, 4, 0)], [], 8)}, "every step needs a place for its notes"),
        ({"training": ([(1, 2, 2, 0, 0, 4)], [0], 8)}, "a slot is "),
        ({"training": ([(1, 2, 2, 0, 0, 4, 0)], 8)}, "a layout is "),
    ):
        with pytest.raises(ValueError, match=message):
            native.Runner(**{**laid_out({**outside, "steps": [STEP], "arena": 8}), **layouts})


def laid_out(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with both layouts, which keep everything in a place of its own."""
    slots = [(*slot, 0) for slot in given["slots"]]
    scratch = [step.get("scratch", 0) for step in given["steps"]]
    layout = (slots, scratch, given["arena"])
    return {
        "training": layout,
        "prediction": layout,
        **{name: value for name, value in given.items() if name not in ("slots", "arena")},
    }


STEP = Step("conv", 0, 1, weight=0, needs_dx=False).to_native()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arena": 2**35 + 1}, "a network's size is out of range"),
        ({"parameters": 2**62}, "a network's size is out of range"),
        ({"packed": -1}, "a network's size is out of range"),
        # Cut down to 32 bits these would be 1 and 4.
        ({"slots": [(2**32 + 1, 1, 1, 0, 0, 0)] * 2}, "a slot's size is out of range"),
        ({"slots": [(1, 1, 2**32 + 4, 0, 0, 0)] * 2}, "a slot's size is out of range"),
        ({"slots": [(1, 1, 1, -1, 0, 0)] * 2}, "a slot's size is out of range"),
        # Counted in 32 or 64 bits these would be small, or negative.
        ({"slots": [(1, 2**16, 2**16, 0, 0, 0)] * 2}, "a slot is larger than the kernels can count"),
        ({"slots": [(2**30, 2**30, 2**4, 0, 0, 0)] * 2}, "a slot is larger than the kernels can count"),
        ({"slots": [(1, 1, 1, 2**30, 0, 0)] * 2}, "a slot is larger than the kernels can count"),
        ({"slots": [(2**16, 1, 1, 0, 0, 0)] * 2}, "a layer has more weights than the kernels can count"),
        (
            {"slots": [(2**14, 1, 1, 0, 0, 0)] * 2, "steps": [{**STEP, "rows": [64, 1, 1, 0]}]},
            "a layer has more weights than the kernels can count",
        ),
        ({"steps": [{**STEP, "rows": [1, 2**30 + 1, 1, 0]}]}, "a window's numbers are out of range"),
        ({"steps": [{**STEP, "columns": [1, 1, 2**31 - 1, 0]}]}, "a window's numbers are out of range"),
        ({"steps": [{**STEP, "columns": [1, 1, 1, -1]}]}, "a window's numbers are out of range"),
        ({"parameters": 0}, "weights lie outside the parameters"),
    ],
)
def test_numbers_that_the_kernels_cannot_count_are_refused(changed: dict[str, Any], message: str) -> None:
    native = pytest.importorskip("pellucid._native")
    good = {
        "slots": [(1, 1, 1, 0, 0, 0)] * 2, "steps": [STEP], "input": 0, "output": 1, "loss": 0, "arena": 2**35,
        "parameters": 1, "packed": 1, "scratch": 0, "isa": native.instruction_set(),
    }  # fmt: skip
    native.Runner(**laid_out(good))
    with pytest.raises(ValueError, match=message):
        native.Runner(**laid_out({**good, **changed}))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"op": "softmax", "output": 2}, "a step changes the shape that it should keep"),
        ({"op": "response_norm", "size": 3, "output": 2}, "a step changes the shape that it should keep"),
        ({"op": "dropout", "output": 2}, "a step changes the shape that it should keep"),
        ({"op": "dropout", "p": 1.0}, "dropout of no probability or no place"),
        ({"op": "dropout", "p": -0.1}, "dropout of no probability or no place"),
        ({"op": "dropout", "p": float("nan")}, "dropout of no probability or no place"),
        ({"op": "dropout", "position": -1}, "dropout of no probability or no place"),
        ({"op": "lp_pool", "p": 0.5}, "a norm must be a finite number of at least 1"),
        ({"op": "lp_pool", "p": float("inf")}, "a norm must be a finite number of at least 1"),
        ({"op": "lp_pool", "p": 2.0, "output": 2}, "a pool changes the number of channels"),
        ({"op": "response_norm"}, "a neighbourhood has no channels"),
        ({"op": "response_norm", "size": 3, "scratch": 9}, "a step's notes lie outside the arena"),
        ({"op": "flatten", "addend": 0}, "a step adds what it has no way to add"),
        ({"op": "add"}, "a sum has one input"),
        ({"op": "add", "addend": 9}, "a step's slot is out of range"),
        ({"op": "add", "addend": -2}, "a step's slot is out of range"),
        ({"op": "add", "addend": 2}, "a step adds maps of another shape"),
        ({"op": "add", "addend": 0, "output": 2}, "a step changes the shape that it should keep"),
        ({"op": "add", "addend": 0, "output": 3}, "a step has no place for its δ"),
        ({"op": "add", "addend": 0, "input": 3}, "a step has no place for its input's δ"),
        ({"op": "add", "addend": 3, "addend_back": "add"}, "a step has no place for its input's δ"),
        ({"op": "add", "addend": 0, "addend_back": "same"}, "two slots that should share their δ do not"),
        ({"op": "batch_norm", "weight": 0, "bias": 2, "eps": 1e-5, "norm": 1}, "statistics have no room"),
        ({"op": "batch_norm", "weight": 0, "bias": 2, "eps": 1e-5, "state": 1}, "running statistics lie outside"),
        ({"op": "batch_norm", "weight": 0, "bias": 3, "eps": 1e-5}, "weights lie outside the parameters"),
        ({"op": "batch_norm", "weight": 3, "bias": 0, "eps": 1e-5}, "weights lie outside the parameters"),
        ({"op": "batch_norm", "weight": 0, "bias": 1, "eps": 1e-5}, "two steps share parameters"),
        ({"op": "batch_norm", "weight": 0, "bias": 2}, "a batch norm's settings are out of range"),
        ({"op": "batch_norm", "weight": 0, "bias": 2, "eps": 1, "momentum": 2}, "a batch norm's settings are out"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(step: dict[str, Any], message: str) -> None:
    native = pytest.importorskip("pellucid._native")
    given = {
        "slots": [(2, 1, 1, 0, 0, 2), (2, 1, 1, 0, 4, 6), (1, 1, 1, 0, 8, 9), (2, 1, 1, 0, 4, -1)],
        "steps": [step_of(**{"input": 0, "output": 1, **step})],
        "input": 0, "output": 1, "loss": 0, "arena": 10, "parameters": 4, "packed": 4, "scratch": 0, "isa": "baseline",
        "norms": 2, "state": 5,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        native.Runner(**laid_out(given))


def step_of(scratch: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a step as it is sent, with the place of its notes for the layouts."""
    return {**Step(**fields).to_native(), "scratch": scratch}


TILED = {"op": "conv", "input": 0, "output": 1, "weight": 0, "needs_dx": False, "rows": (3, 1, 1, 1),
         "columns": (3, 1, 1, 1), "tile": 3, "weights_tile": 3, "scratch": 0}  # fmt: skip
#: 2 maps of 5×6 become 3 of 5×6
MAPS = [(2, 5, 6, 1, 0, 80), (3, 5, 6, 1, 160, 280)]
ARENA = 400
#: a row of zeros for 16 tiles of 5×5; X of 4 channels and M of 16 filters, each with room for one more of four tiles;
#: a panel
SCRATCH = 4 * 16 + 8 + 36 * (4 * 5 + 4 * 17 + 65)
#: a panel of 16 filters for up to 64 channels, and a vector more, at each point
PACKED = PACKED_FOR_DX = 36 * 65 * 16

#: the same maps through 5×5: 2·2 tiles, 8 rows of them and one tile more; zeros and a row of inputs for 16 tiles, and
#: X of these and sums of 16 filters for 6 channels · 8 points
FIVE = {"rows": (5, 1, 1, 2), "columns": (5, 1, 1, 2), "tile": 5, "weights_tile": 5, "scratch": 580}
ROOM_OF_FIVE = {"slots": [(2, 5, 6, 4, 0, 140), (3, 5, 6, 2, 280, 430)], "arena": 580 + 8 * (3 * 4 + 1) * 4 + 2 * 64,
                "parameters": 150, "packed": 2 * 3 * 64, "scratch": 2 * (4 * 16 + 8) + 6 * 8 * (16 + 16)}  # fmt: skip


def tiled(step: dict[str, Any], **changed: Any) -> Any:
    native = pytest.importorskip("pellucid._native")
    return native.Runner(**laid_out({
        "slots": MAPS, "steps": [step_of(**{**TILED, **step})], "input": 0, "output": 1,
        "loss": 0, "arena": ARENA, "parameters": 54, "packed": PACKED, "scratch": SCRATCH, "isa": "baseline",
        **changed,
    }))  # fmt: skip


def test_tiles_that_fit_to_the_last_number_are_taken() -> None:
    tiled({})
    tiled({"needs_dx": True}, packed=PACKED + PACKED_FOR_DX)
    tiled({"tile": 0}, packed=2 * 3 * 9)
    tiled(FIVE, **ROOM_OF_FIVE)


@pytest.mark.parametrize(
    ("step", "changed", "message"),
    [
        ({"weights_tile": 5}, {}, "tiles for two kernels"),
        ({"tile": 5}, {}, "tiles for two kernels"),
        ({"tile": 4, "weights_tile": 4}, {}, "tiles for an unknown kernel"),
        ({"tile": -3, "weights_tile": -3}, {}, "tiles for an unknown kernel"),
        ({"tile": 5, "weights_tile": 5}, {}, "tiles do not fit the window"),
        ({"rows": (3, 2, 1, 1)}, {}, "tiles do not fit the window"),
        ({"columns": (3, 1, 2, 1)}, {}, "tiles do not fit the window"),
        ({"columns": (5, 1, 1, 1)}, {"parameters": 90}, "tiles do not fit the window"),
        ({"groups": 3}, {"slots": [(3, 5, 6, 1, 0, 40), MAPS[1]]}, "tiles of a convolution in groups"),
        ({"op": "lp_pool", "p": 2.0}, {"slots": [MAPS[0]] * 2}, "tiles of what is no convolution"),
        ({}, {"slots": [(2, 5, 6, 0, 0, 80), MAPS[1]]}, "a border is narrower than the tiles$"),
        ({"columns": (3, 1, 1, 4)}, {}, "a border is narrower than the tiles$"),
        ({"needs_dx": True}, {"slots": [MAPS[0], (3, 5, 6, 0, 160, 280)]}, "narrower than the tiles of dx"),
        (FIVE, {**ROOM_OF_FIVE, "slots": MAPS}, "a border is narrower than the tiles$"),
        (FIVE, {**ROOM_OF_FIVE, "arena": ROOM_OF_FIVE["arena"] - 1}, "a step's notes lie outside the arena"),
        ({**FIVE, "scratch": -1}, ROOM_OF_FIVE, "a step's notes lie outside the arena"),
        ({}, {"scratch": SCRATCH - 1}, "a thread has too little scratch"),
        ({}, {"scratch": -1}, "a network's size is out of range"),
        ({}, {"packed": PACKED - 1}, "packed weights have no room"),
        ({"packed": 4}, {"packed": PACKED + 4}, "do not begin with a vector"),
        ({"needs_dx": True}, {"packed": PACKED + PACKED_FOR_DX - 1}, "packed weights have no room"),
        (FIVE, {**ROOM_OF_FIVE, "packed": 2 * 3 * 64 - 1}, "packed weights have no room"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(step: dict[str, Any], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiled(step, **changed)


#: a batch norm of 2 maps, whose output has no place, and the convolution that it goes into
NORM = {"op": "batch_norm", "input": 0, "output": 1, "weight": 54, "bias": 56, "needs_dx": False, "eps": 1.0}
INTO = {**TILED, "input": 1, "output": 2}
NOWHERE = (2, 5, 6, 1, -1, 80)


def normalized(*steps: dict[str, Any], slots: dict[int, Any], output: int = 2, **changed: Any) -> Any:
    native = pytest.importorskip("pellucid._native")
    given = [MAPS[0], NOWHERE, MAPS[1], MAPS[0]]
    for number, slot in slots.items():
        given[number] = slot
    return native.Runner(**laid_out({
        "slots": given, "steps": [step_of(**step) for step in steps], "input": 0, "output": output, "loss": 0,
        "arena": ARENA, "parameters": 58, "packed": PACKED, "scratch": SCRATCH, "isa": "baseline", "norms": 2,
        "state": 5, **changed,
    }))  # fmt: skip


def test_a_batch_norm_may_go_into_a_convolution_by_points() -> None:
    normalized(NORM, INTO, slots={})
    normalized(NORM, {**INTO, "tile": 0}, slots={1: (2, 5, 6, 1, 0, 80)})


@pytest.mark.parametrize(
    ("steps", "changed", "message"),
    [
        ([NORM, INTO], {"slots": {0: (2, 5, 6, 1, -1, 80)}}, "the network's input or output has no place"),
        ([NORM], {"slots": {}, "output": 1}, "the network's input or output has no place"),
        ([INTO, NORM], {"slots": {}}, "a step reads what has no place"),
        ([NORM, {**INTO, "tile": 0}], {"slots": {}}, "a step has no way to normalize what it reads"),
        ([NORM, {**INTO, "weights_tile": 0}], {"slots": {}}, "a step has no way to normalize what it reads"),
        ([NORM, {"op": "add", "input": 0, "output": 3, "addend": 1}], {"slots": {}}, "a step adds what has no place"),
        ([NORM, INTO], {"slots": {2: (3, 5, 6, 1, -1, 280)}, "output": 3}, "a step's output needs a place"),
        ([{**NORM, "addend": 3}, INTO], {"slots": {}}, "a step's output needs a place"),
        (
            [{**NORM, "per_pixel": True, "bias": 114}, INTO],
            {"slots": {}, "norms": 60, "state": 121, "parameters": 174},
            "a step's output needs a place",
        ),
        ([NORM, INTO], {"slots": {0: (2, 5, 6, 0, 0, 80)}}, "has another border"),
        ([NORM, INTO], {"slots": {1: (2, 5, 6, 1, -2, 80)}}, "a slot lies outside the arena"),
    ],
)
def test_what_has_no_place_is_refused_elsewhere(
    steps: list[dict[str, Any]], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        normalized(*steps, **changed)
