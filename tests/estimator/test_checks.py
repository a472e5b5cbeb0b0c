"""scikit-learn's own checks of an estimator: all of them run, none is skipped, none is expected to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import pytest
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.estimator_checks import estimator_checks_generator

from pellucid import ConvNetClassifier, ConvNetRegressor

# One thread: the checks train hundreds of tiny networks.
OURS = [ConvNetClassifier(n_jobs=1), ConvNetRegressor(n_jobs=1)]

#: skips itself unless SCIPY_ARRAY_API was set before SciPy was imported
NEEDS_ARRAY_API = "check_array_api_input"


def checks_of(estimator: Any) -> list[Any]:
    return [check for _, check in estimator_checks_generator(estimator)]


def name_of(check: Any) -> str:
    settings = ",".join(f"{key}={value}" for key, value in check.keywords.items())
    return f"{check.func.__name__}({settings})" if settings else check.func.__name__


CASES = [(estimator, check) for estimator in OURS for check in checks_of(estimator)]


@pytest.mark.parametrize(
    ("estimator", "check"),
    [case for case in CASES if case[1].func.__name__ != NEEDS_ARRAY_API],
    ids=[
        f"{type(estimator).__name__}-{name_of(check)}"
        for estimator, check in CASES
        if check.func.__name__ != NEEDS_ARRAY_API
    ],
)
def test_check(estimator: Any, check: Callable[[Any], None]) -> None:
    try:
        check(estimator)
    except SkipTest as skip:
        pytest.fail(f"skipped: {skip}")


def test_the_check_that_wants_scipys_array_api_switched_on() -> None:
    script = """
from unittest import SkipTest
from sklearn.utils.estimator_checks import estimator_checks_generator
from pellucid import ConvNetClassifier, ConvNetRegressor
for estimator in ConvNetClassifier(n_jobs=1), ConvNetRegressor(n_jobs=1):
    for _, check in estimator_checks_generator(estimator):
        if check.func.__name__ == "check_array_api_input":
            check(estimator)
            print("passed")
"""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["passed"] * sum(check.func.__name__ == NEEDS_ARRAY_API for _, check in CASES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("ours", "theirs", "more"),
    [
        (OURS[0], MLPClassifier(), "check_class_weight_classifiers"),
        (OURS[1], MLPRegressor(), "check_regressor_multioutput"),
    ],
    ids=["classifier", "regressor"],
)
def test_no_tag_hides_a_check(ours: Any, theirs: Any, more: str) -> None:
    """As many checks as scikit-learn's own network has: sparse X is not for us, something else is."""
    mine, others = (Counter(check.func.__name__ for check in checks_of(e)) for e in (ours, theirs))
    assert mine - others == Counter({more: 1})
    assert others - mine == Counter({"check_sample_weight_equivalence_on_sparse_data": 1})


@pytest.mark.skipif(not sklearn.__version__.startswith("1.9."), reason="each minor version has its own checks")
def test_how_many_checks_there_are() -> None:
    assert [len(checks_of(estimator)) for estimator in OURS] == [67, 60]
