from __future__ import annotations

import numpy as np
import pytest

from benchmarks.deep_ours import without_dropout
from pellucid import Network
from pellucid.layers import Dropout, Linear


def test_without_dropout_training_computes_what_prediction_does() -> None:
    network = Network([Linear(20), Dropout(0.9), Linear(3)], (4,), dtype="float64", engine="reference")
    changed = without_dropout(network, "reference")
    assert changed.parameters.keys() == network.parameters.keys()
    for name, value in network.parameters.items():
        changed.parameters[name] = value
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4)), rng.integers(3, size=5)
    probabilities = network.predict(x)
    loss, _ = changed.loss_and_gradients(x, y)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(5), y]).mean(), rel=1e-5)
