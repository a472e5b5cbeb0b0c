from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quick_classifier import IMAGES, NUMBERS, quick, two_blobs
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.model_selection import train_test_split

import pellucid
from pellucid import ConvNetClassifier
from pellucid.augmentation import Augmentation
from pellucid.errors import ConfigError, DataError
from pellucid.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU
from pellucid.optimizers import SGD


def test_digits_are_learnt() -> None:
    x, x_test, y, y_test = train_test_split(IMAGES, NUMBERS, random_state=0, stratify=NUMBERS)
    classifier = quick(max_iter=40).fit(x, y)
    assert classifier.score(x_test, y_test) >= 0.985
    assert classifier.network_.input_shape == classifier.input_shape_ == (1, 8, 8)
    assert classifier.n_features_in_ == 64
    assert classifier.classes_.tolist() == list(range(10))
    probabilities = classifier.predict_proba(x_test)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), classifier.predict(x_test))


def test_flat_stacked_and_plain_images_are_the_same() -> None:
    x, y = IMAGES[:300], NUMBERS[:300]
    plain = quick().fit(x, y)
    expected = plain.predict_proba(x)
    flat = quick(input_shape=(8, 8)).fit(x.reshape(300, 64), y)
    stacked = quick().fit(x[:, None].tolist(), y.tolist())
    for other in (flat, stacked):
        for form in (x, x[:, None], x.reshape(300, 64)):
            np.testing.assert_array_equal(other.predict_proba(form), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", ">f8", "float16"])
def test_the_type_of_the_numbers_does_not_matter(dtype: str, tmp_path: Path) -> None:
    x, y = IMAGES[:200], NUMBERS[:200]
    np.save(tmp_path / "x.npy", x.astype(dtype))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    backwards = np.asfortranarray(x.astype(dtype))
    expected = quick().fit(x, y).predict_proba(x)
    for form in (mapped, backwards):
        np.testing.assert_array_equal(quick().fit(form, y).predict_proba(form), expected)


def test_channels_are_scaled_one_by_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2, 5, 5))
    y = np.arange(100) % 2
    x[:, 1] += y[:, None, None]
    scaled = quick().fit(x, y).predict_proba(x)
    stretched = x * np.array([1e6, 1e-3]).reshape(1, 2, 1, 1) + np.array([-5e5, 3.0]).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(quick().fit(stretched, y).predict_proba(stretched), scaled, rtol=1e-3, atol=1e-5)


def test_without_standardize_bytes_are_pixels() -> None:
    x, y = np.random.default_rng(0).integers(0, 256, (60, 6, 6), dtype=np.uint8), np.arange(60) % 3
    pixels = quick(standardize=False).fit(x, y)
    shares = quick(standardize=False).fit((x / 255).astype(np.float32), y)
    np.testing.assert_allclose(pixels.predict_proba(x), shares.predict_proba(x / 255), rtol=1e-4)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["no", "yes"], "U"),
        ([False, True], "b"),
        ([-3, 40], "i"),
        ([0.0, 2.0], "f"),
        (np.array(["b", "ä"], dtype=object), "O"),
        (np.array([7, 9], dtype=np.uint8), "u"),
    ],
    ids=["words", "truth", "integers", "floats", "objects", "bytes"],
)
def test_labels_of_any_kind(labels: Any, kind: str) -> None:
    x, numbers = two_blobs()
    y = np.asarray(labels)[numbers]
    classifier = quick(max_iter=30).fit(x, y)
    assert classifier.classes_.tolist() == sorted(np.asarray(labels).tolist())
    predicted = classifier.predict(x)
    assert predicted.dtype.kind == kind
    assert np.mean(predicted == y) > 0.97
    assert classifier.score(x, y) == np.mean(predicted == y)


def test_data_frames() -> None:
    x, y = two_blobs()
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    classifier = quick(max_iter=30).fit(frame, pd.Series(y).map({0: "no", 1: "yes"}).astype("category"))
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c"]
    assert np.mean(classifier.predict(frame) == np.array(["no", "yes"])[y]) > 0.97
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame[["b", "a", "c"]])


def test_decision_function_is_the_logarithm_of_the_odds() -> None:
    x, y = two_blobs()
    classifier = quick().fit(x, y)
    p = classifier.predict_proba(x).astype(np.float64)
    np.testing.assert_allclose(classifier.decision_function(x), np.log(p[:, 1] / p[:, 0]), rtol=1e-4, atol=1e-4)
    three = quick().fit(x, np.arange(len(x)) % 3)
    outputs, p = three.decision_function(x), three.predict_proba(x)
    np.testing.assert_allclose(outputs - outputs[:, :1], np.log(p / p[:, :1]), rtol=1e-3, atol=1e-4)


def test_several_labels_a_sample() -> None:
    x, y = make_multilabel_classification(400, n_features=10, n_classes=3, random_state=0)
    classifier = quick(max_iter=60).fit(x, y)
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert np.mean(classifier.predict(x) == y) > 0.85 > 0.2 + np.mean(y == (y.mean(axis=0) > 0.5))
    np.testing.assert_array_equal(classifier.predict(x), classifier.predict_proba(x) >= 0.5)
    np.testing.assert_array_equal(classifier.predict(x), classifier.decision_function(x) >= 0)
    with pytest.raises(DataError, match="y has shape \\(400,\\), but ConvNetClassifier learnt several labels a sample"):
        classifier.set_params(warm_start=True).fit(x, y[:, 0])
    with pytest.raises(DataError, match="y has 2 columns, but ConvNetClassifier learnt 3 labels"):
        classifier.partial_fit(x, y[:, :2])
    with pytest.raises(ConfigError, match="class_weight is for one label a sample; y has several"):
        quick(class_weight={0: 2}).fit(x, y)


def test_a_weight_of_two_counts_as_two_samples_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    x, y, weight = rng.normal(size=(20, 4, 4)), np.arange(20) % 3, rng.integers(0, 4, 20)
    repeated = rng.permutation(np.arange(20).repeat(weight))
    settings: dict[str, Any] = {"max_iter": 50}
    weighted = quick(**settings).fit(x, y, sample_weight=weight)
    doubled = quick(**settings).fit(x[repeated], y[repeated])
    np.testing.assert_array_equal(weighted.predict_proba(x), doubled.predict_proba(x))
    assert weighted.loss_curve_ == doubled.loss_curve_


def test_class_weight_multiplies_sample_weight() -> None:
    x, y = two_blobs(60)
    x -= 2.5 * y[:, None]  # hard to tell apart, so that the weights tell
    labels = np.array(["a", "b"])[y]
    by_class = quick(class_weight={"b": 5.0}, max_iter=30).fit(x, labels)
    by_sample = quick(max_iter=30).fit(x, labels, sample_weight=np.where(y == 1, 5.0, 1.0))
    np.testing.assert_array_equal(by_class.predict_proba(x), by_sample.predict_proba(x))
    even = quick(max_iter=30).fit(x, labels)
    assert by_class.predict_proba(x)[:, 1].mean() > even.predict_proba(x)[:, 1].mean() + 0.15


def test_balanced_classes_weigh_the_same() -> None:
    x, y = np.random.default_rng(0).normal(size=(100, 2)), (np.arange(100) >= 90).astype(int)
    classifier = quick(class_weight="balanced", max_iter=30).fit(x, y)
    by_hand = quick(class_weight={0: 100 / 180, 1: 100 / 20}, max_iter=30).fit(x, y)
    np.testing.assert_array_equal(classifier.predict_proba(x), by_hand.predict_proba(x))
    assert 0.3 < classifier.predict_proba(x)[:, 1].mean() < 0.7
    assert quick(max_iter=30).fit(x, y).predict_proba(x)[:, 1].mean() < 0.3


def test_random_state_fixes_everything() -> None:
    x, y = IMAGES[:150], NUMBERS[:150]
    first, again, other = (quick(random_state=seed, early_stopping=True).fit(x, y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.predict_proba(x), again.predict_proba(x))
    assert (first.predict_proba(x) != other.predict_proba(x)).any()
    threads = quick(random_state=1, early_stopping=True, n_jobs=2).fit(x, y)
    np.testing.assert_array_equal(first.predict_proba(x), threads.predict_proba(x))
    state = np.random.RandomState(0)
    one, two = (quick(random_state=state).fit(x, y) for _ in range(2))
    assert (one.predict_proba(x) != two.predict_proba(x)).any()


def test_training_stops_when_the_loss_does() -> None:
    x, y = two_blobs(60)
    classifier = quick(max_iter=500, tol=0.02, n_iter_no_change=3).fit(x, y)
    curve = classifier.loss_curve_
    assert classifier.n_iter_ == len(curve) < 500
    best = np.minimum.accumulate(curve)
    worse = [curve[i] > best[i - 1] - 0.02 for i in range(1, len(curve))]
    assert worse[-4:] == [True] * 4
    assert not any(all(worse[i : i + 4]) for i in range(len(worse) - 4))
    assert quick(max_iter=50, tol=1e9, n_iter_no_change=np.inf).fit(x, y).n_iter_ == 50


def test_early_stopping_keeps_the_best_weights() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6))
    y = (x[:, 0] + 1.5 * rng.normal(size=80) > 0).astype(int)  # much noise, so that training on does harm
    classifier = quick(max_iter=100, early_stopping=True, validation_fraction=0.25, n_iter_no_change=15).fit(x, y)
    scores = classifier.validation_scores_
    assert scores is not None
    assert len(scores) == classifier.n_iter_ == len(classifier.loss_curve_) < 100
    assert classifier.best_validation_score_ == max(scores)
    best = scores.index(max(scores)) + 1
    until_then = quick(max_iter=best, early_stopping=True, validation_fraction=0.25).fit(x, y)
    np.testing.assert_array_equal(until_then.predict_proba(x), classifier.predict_proba(x))
    # 20 of 80 are held out, 10 of each class or nearly so: scores are multiples of 1/20.
    np.testing.assert_allclose(np.array(scores) * 20, np.round(np.array(scores) * 20), atol=1e-9)
    without = classifier.set_params(early_stopping=False).fit(x, y)
    assert (without.validation_scores_, without.best_validation_score_) == (None, None)


def test_warm_start_goes_on() -> None:
    x, y = IMAGES[:150], NUMBERS[:150]
    classifier = quick(warm_start=True, max_iter=3).fit(x, y)
    network, losses = classifier.network_, classifier.loss_curve_
    classifier.fit(x, y)
    assert classifier.network_ is network
    assert network.step == 6 * 3
    assert classifier.n_iter_ == 3
    assert classifier.loss_curve_[:3] == losses
    assert classifier.loss_curve_[3] < losses[-1]
    with pytest.raises(DataError, match=r"y has the classes 11, 12, but ConvNetClassifier learnt \[0, 1, 2, .*9\]"):
        classifier.fit(x[:3], [11, 0, 12])
    fresh = classifier.set_params(warm_start=False).fit(x, y)
    assert fresh.loss_curve_ == losses


def test_partial_fit_learns_piece_by_piece() -> None:
    x, x_test, y, y_test = train_test_split(IMAGES, NUMBERS, random_state=0, stratify=NUMBERS)
    order = np.argsort(y[:200], kind="stable")  # the first pieces know but one class
    classifier = quick()
    for piece in np.array_split(order, 10):
        classifier.partial_fit(x[piece], y[piece], classes=range(10))
    assert classifier.n_iter_ == 1
    assert len(classifier.loss_curve_) == 10
    for _ in range(15):
        for piece in np.array_split(np.arange(len(x)), 10):
            classifier.partial_fit(x[piece], y[piece])
    assert classifier.score(x_test, y_test) > 0.95


LAYERS = [Conv2d(4, 3, padding=1), BatchNorm2d(), ReLU(), Flatten(), Linear(10)]


def by_hand(input_shape: tuple[int, ...], classes: int) -> list[Any]:
    assert (input_shape, classes) == ((1, 8, 8), 10)
    return LAYERS


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (LAYERS, 40 + 8 + 2570),
        (pellucid.layers.Sequential(LAYERS), 40 + 8 + 2570),
        (by_hand, 40 + 8 + 2570),
        (lambda input_shape, classes: Linear(classes)(Flatten()(pellucid.Input(input_shape))), 650),
        ("digits", 9930),
        (partial(pellucid.zoo.digits, seed=7), 9930),
    ],
    ids=["list", "layer", "callable", "functional", "name", "builder"],
)
def test_networks_of_ones_own(network: Any, parameters: int) -> None:
    x, y = IMAGES[:400], NUMBERS[:400]
    classifier = quick(network=network, max_iter=30, learning_rate=0.005)
    assert clone(classifier).fit(x, y).network_.flat_parameters.size == parameters
    assert classifier.fit(x, y).score(x, y) > 0.95


def test_a_trained_network_is_trained_further() -> None:
    x, y = IMAGES[:400], NUMBERS[:400]
    trained = pellucid.zoo.digits()
    trained.n_jobs = 1
    trained.fit(x / 16, y, epochs=15, optimizer="adam", verbose=0)
    before = trained.flat_parameters.copy()
    classifier = quick(network=lambda **_: trained, standardize=False, max_iter=1).fit(x / 16, y)
    assert classifier.score(x / 16, y) > 0.9 > quick(network="digits", max_iter=1).fit(x, y).score(x, y)
    np.testing.assert_array_equal(trained.flat_parameters, before)
    assert classifier.network_.step == trained.step + 7


def test_augmentation_and_penalty_reach_the_training() -> None:
    x, y = IMAGES[:100], NUMBERS[:100]
    plain = quick().fit(x, y)
    for settings in ({"augment": Augmentation(padding=1)}, {"alpha": 0.1}, {"optimizer": SGD(0.01)}):
        other = quick(**settings).fit(x, y)
        assert other.loss_curve_ != plain.loss_curve_
    heavy = quick(alpha=0.1).fit(x, y)
    assert np.square(heavy.network_.flat_parameters).sum() < np.square(plain.network_.flat_parameters).sum()


def test_verbose_prints_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    quick(verbose=True, max_iter=2).fit(IMAGES[:50], NUMBERS[:50])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/2", "epoch 2/2"]


def test_ctrl_c_leaves_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.estimator.monitor import Monitor

    told = Monitor.on_epoch_end

    def interrupted(self: Monitor, epoch: int, logs: Any) -> None:
        told(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Monitor, "on_epoch_end", interrupted)
    classifier = quick(max_iter=50)
    with pytest.warns(UserWarning, match="training interrupted after 3 of 50 epochs"):
        classifier.fit(IMAGES[:50], NUMBERS[:50])
    assert classifier.n_iter_ == 3
    assert classifier.predict(IMAGES[:2]).shape == (2,)


def test_copies_predict_the_same() -> None:
    x, y = IMAGES[:100], np.array([f"digit {n}" for n in NUMBERS[:100]])
    classifier = quick(network="digits").fit(x, y)
    expected = classifier.predict_proba(x)
    data = pickle.dumps(classifier)
    for other in (pickle.loads(data), copy.deepcopy(classifier)):
        np.testing.assert_array_equal(other.predict_proba(x), expected)
        assert other.predict(x[:1]) == classifier.predict(x[:1])
        assert other.get_params() == classifier.get_params()
    other = pickle.loads(data)
    other.set_params(warm_start=True).fit(x, y)
    np.testing.assert_array_equal(classifier.predict_proba(x), expected)
    # Inside is the model file, byte for byte.
    assert pellucid.blueprint.to_bytes(classifier.network_) in data
    assert pickle.loads(pickle.dumps(quick())).get_params() == quick().get_params()


def test_another_process_reads_the_pickle(tmp_path: Path) -> None:
    x, y = IMAGES[:100], NUMBERS[:100]
    classifier = quick().fit(x, y)
    (tmp_path / "classifier.pickle").write_bytes(pickle.dumps(classifier))
    np.save(tmp_path / "x.npy", x)
    script = (
        "import pickle, numpy, sys; classifier = pickle.load(open(sys.argv[1], 'rb'));"
        "numpy.save(sys.argv[3], classifier.predict_proba(numpy.load(sys.argv[2])))"
    )
    files = [str(tmp_path / name) for name in ("classifier.pickle", "x.npy", "p.npy")]
    subprocess.run([sys.executable, "-c", script, *files], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), classifier.predict_proba(x))


def test_its_picture_in_a_notebook_names_the_settings() -> None:
    picture = ConvNetClassifier("lenet5", max_iter=321)._repr_html_()
    assert "ConvNetClassifier" in picture
    assert "lenet5" in picture
    assert "321" in picture
    assert repr(ConvNetClassifier("lenet5", max_iter=321)) == "ConvNetClassifier(max_iter=321, network='lenet5')"


def test_no_warnings_are_given_unasked() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(IMAGES[:50], NUMBERS[:50]).predict(IMAGES[:1])
