from __future__ import annotations

import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import BatchNorm, Linear
from pellucid.training import batches


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(labels.max() + 1)[labels]


@pytest.mark.parametrize(("samples", "fraction"), [(1, 0.0), (10, 0.3), (97, 0.2), (97, 0.5), (1000, 0.01), (31, 0.97)])
def test_split_takes_the_share_and_loses_no_sample(samples: int, fraction: float):
    labels = np.random.default_rng(1).integers(0, 3, samples)
    training, validation = batches.split(one_hot(labels), fraction, seed=0)
    assert len(validation) == round(fraction * samples)
    assert sorted([*training, *validation]) == list(range(samples))


@pytest.mark.parametrize("seed", range(20))
def test_split_takes_the_same_share_of_every_class(seed: int):
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, 203, p=[0.6, 0.3, 0.08, 0.02])
    _, validation = batches.split(one_hot(labels), 0.25, seed)
    held = len(validation)
    for label in range(4):
        due = np.count_nonzero(labels == label) * held / 203
        assert np.count_nonzero(labels[validation] == label) in (np.floor(due), np.ceil(due))


@pytest.mark.parametrize("target", [one_hot(np.arange(200) % 2), np.linspace(0, 1, 200)[:, None]])
def test_split_draws_every_sample_equally_often_over_the_seeds(target: np.ndarray):
    # Binomial with n = 500, p = 0.2: mean 100, standard deviation 8.9; 200 samples stay within 5 of them.
    held = np.concatenate([batches.split(target, 0.2, seed)[1] for seed in range(500)])
    counts = np.bincount(held, minlength=200)
    assert counts.min() > 55
    assert counts.max() < 145


def test_split_follows_the_seed():
    target = one_hot(np.arange(50) % 5)
    first, again, other = (batches.split(target, 0.4, seed)[1].tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_order_is_numpys_permutation_of_seed_and_step():
    assert batches.order(9, 5, 12, True).tolist() == np.random.default_rng([5, 12]).permutation(9).tolist()
    assert batches.order(4, 5, 12, False).tolist() == [0, 1, 2, 3]


def test_cut_leaves_a_smaller_last_batch():
    assert [part.tolist() for part in batches.cut(np.arange(8), 3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [part.tolist() for part in batches.cut(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5, 6]]
    assert [part.tolist() for part in batches.cut(np.arange(3), 1)] == [[0], [1], [2]]
    assert [part.tolist() for part in batches.cut(np.arange(1), 3)] == [[0]]
    assert [part.tolist() for part in batches.cut(np.arange(4), 2)] == [[0, 1], [2, 3]]
    assert [part.tolist() for part in batches.cut(np.arange(2), 64)] == [[0, 1]]


def test_a_sample_left_over_joins_the_batch_before_it() -> None:
    rng = np.random.default_rng(0)
    net = Network([Linear(4), BatchNorm(), Linear(2)], (3,), engine="reference")
    net.fit(rng.normal(size=(9, 3)), rng.integers(2, size=9), epochs=1, batch_size=4, verbose=0)
    assert net.step == 2  # 4 and 5 samples: batch normalization cannot train on one
