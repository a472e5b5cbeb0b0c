"""ONNX's own test cases: every one whose operators can be imported, with the outputs that ONNX ships."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # working out the cases overflows here and there
    from onnx.backend.test.loader import load_model_tests

from pellucid.interop.onnx.backend import PreparedModel, prepare
from pellucid.interop.onnx.numpy_operators import OPERATORS

#: cases by what runs them in ONNX 1.23: a network made by the importer, or the operators one by one in NumPy, where the
#: case is no network: integers, vectors without a batch, volumes, several outputs or samples that meet
COUNTS = {
    "node": {"network": 76, "operators": 86},
    "simple": {"network": 1},
    "pytorch-converted": {"network": 40, "operators": 18},
    "pytorch-operator": {"network": 4, "operators": 9},
}
#: printed with four decimals
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}


@pytest.fixture(scope="module", params=COUNTS)
def cases(request: pytest.FixtureRequest) -> tuple[str, list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return request.param, load_model_tests(kind=request.param)


def test_every_case_of_our_operators(cases: tuple[str, list[Any]]) -> None:
    kind, loaded = cases
    ran: dict[str, list[str]] = {}
    for case in loaded:
        model = case.model or onnx.load(Path(case.model_dir) / "model.onnx")
        if all(node.op_type in OPERATORS and not node.domain for node in model.graph.node):
            prepared = prepare(model)
            for inputs, outputs in case.data_sets or stored(Path(case.model_dir)):
                assert_outputs(case.name, prepared.run(inputs), outputs)
            ran.setdefault(run_as(prepared, case.name), []).append(case.name)
    counts = Counter({way: len(names) for way, names in ran.items()})
    print(f"\n{kind}: {counts.total()} cases of our operators: {dict(counts)}")
    if onnx.__version__.startswith("1.23."):
        assert counts == COUNTS[kind]
    assert counts["network"] >= 0.9 * COUNTS[kind]["network"]


def run_as(prepared: PreparedModel, name: str) -> str:
    """Return what ran a case; where that was no network, the model must have said why none could."""
    assert (prepared.ran_as == "operators") == bool(prepared.reason), name
    return str(prepared.ran_as)


def stored(folder: Path) -> list[tuple[list[Any], list[Any]]]:
    """Return the inputs and outputs that lie beside a model."""
    sets: list[tuple[list[Any], list[Any]]] = []
    for data in sorted(folder.glob("test_data_set_*")):
        inputs, outputs = (
            [
                numpy_helper.to_array(TensorProto.FromString((data / f"{what}_{i}.pb").read_bytes()))
                for i in range(len(list(data.glob(f"{what}_*.pb"))))
            ]
            for what in ("input", "output")
        )
        sets.append((inputs, outputs))
    assert sets
    return sets


def assert_outputs(name: str, found: Any, wanted: Any) -> None:
    assert len(found) == len(wanted), name
    for got, expected in zip(found, wanted, strict=True):
        if isinstance(expected, list):  # a sequence
            assert_outputs(name, got, expected)
            continue
        expected = np.asarray(expected)
        assert (np.shape(got), np.asarray(got).dtype) == (expected.shape, expected.dtype), name
        slack = 1e-4 if name in ROUNDED else 1e-5
        np.testing.assert_allclose(got, expected, rtol=slack, atol=slack, err_msg=name)
