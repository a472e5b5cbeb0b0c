import threading
from time import monotonic, sleep
from unittest.mock import ANY

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import DataError, ShapeError
from pellucid.explain.explorer import Session, Subject
from pellucid.explain.explorer.training import HELD_EVERY, Training
from pellucid.layers import BatchNorm, Conv2d, Flatten, Linear
from pellucid.optimizers import OPTIMIZERS


def finished(session):
    until = monotonic() + 20
    while (told := session.progress())["running"]:
        assert monotonic() < until
        sleep(0.005)
    return told


def test_steps_are_those_of_gradient_descent(subject, network):
    learner = network.copy()
    training = Training(subject, learner)
    # The rule written out: θ ← θ − η·∂J/∂θ, on the samples that the order gives.
    order = np.random.default_rng([network.seed, 0]).permutation(60)
    expected = network.copy()
    for step in range(3):
        rows = order[8 * step : 8 * step + 8]
        loss, gradients = expected.loss_and_gradients(subject.data.x_train[rows], subject.data.y_train[rows])
        for name, gradient in gradients.items():
            expected.parameters[name] = expected.parameters[name] - 0.1 * gradient
        assert training.step("sgd", 0.1, 8) is None
        assert training.points.after(step) == [
            {"step": step + 1, "loss": pytest.approx(loss, rel=1e-5), "accuracy": ANY}
        ]
    np.testing.assert_allclose(learner.flat_parameters, expected.flat_parameters, rtol=1e-5, atol=1e-7)
    assert [point["step"] for point in training.points.after(0)] == [1, 2, 3]
    assert learner.step == 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_the_library(subject, network, name):
    learner, expected = network.copy(), network.copy()
    training = Training(subject, learner)
    order = np.random.default_rng([network.seed, 0]).permutation(60)
    optimizer = OPTIMIZERS[name]
    own = dict(expected.parameters)
    state = optimizer.start(own)
    for step in range(4):
        rows = order[8 * step : 8 * step + 8]
        _, gradients = expected.loss_and_gradients(subject.data.x_train[rows], subject.data.y_train[rows])
        optimizer.apply(own, gradients, state, 0.05)
        assert training.step(name, 0.05, 8) is None
    np.testing.assert_allclose(learner.flat_parameters, expected.flat_parameters, rtol=1e-4, atol=1e-6)


def test_another_optimizer_begins_anew(subject, network):
    """What the one remembers is not given to the other, nor kept for later."""
    learner, expected = network.copy(), network.copy()
    training = Training(subject, learner)
    order = np.random.default_rng([network.seed, 0]).permutation(60)
    own = dict(expected.parameters)
    for step, name in enumerate(["momentum", "momentum", "adam", "momentum"]):
        optimizer = OPTIMIZERS[name]
        if step != 1:
            state = optimizer.start(own)
        rows = order[8 * step : 8 * step + 8]
        _, gradients = expected.loss_and_gradients(subject.data.x_train[rows], subject.data.y_train[rows])
        optimizer.apply(own, gradients, state, 0.05)
        training.step(name, 0.05, 8)
    np.testing.assert_allclose(learner.flat_parameters, expected.flat_parameters, rtol=1e-4, atol=1e-6)


def test_every_sample_comes_once_before_any_comes_again(subject, network, monkeypatch):
    training, seen = Training(subject, network.copy()), []
    monkeypatch.setattr(Network, "check_samples", lambda self, x, y: seen.append(x) or (x, np.eye(3, dtype="f4")[y]))
    for _ in range(6):
        training.step("sgd", 0.1, 10)
    assert len(np.unique(np.concatenate(seen).reshape(60, -1), axis=0)) == 60
    training.step("sgd", 0.1, 130)  # more than there are
    assert len(seen[-1]) == 130


def test_it_learns(subject):
    session = Session(subject)
    session.run(120, 0.3, 16)
    told = finished(session)
    assert (told["step"], told["stopped"], len(told["points"])) == (120, None, 120)
    assert told["points"][-1]["loss"] < 0.3 * told["points"][0]["loss"]
    assert [look["step"] for look in told["held"]] == [*range(0, 121, HELD_EVERY)]
    assert told["held"][-1]["accuracy"] == 1.0
    assert told["revision"] >= 120
    # what is held is measured as evaluate does, on the test images
    (before,) = [look for look in told["held"] if look["step"] == 0]
    assert before["loss"] == pytest.approx(subject.network.evaluate(subject.data.x_test, subject.data.y_test)["loss"])


def test_points_since(subject):
    session = Session(subject)
    session.run(5, 0.1, 4)
    finished(session)
    assert [point["step"] for point in session.progress(3)["points"]] == [4, 5]
    assert session.progress(99)["points"] == []


def test_pause_go_on_and_reset(subject):
    session = Session(subject)
    start = session.state()
    session.run(None, 0.1, 8)
    while session.progress()["step"] < 3:
        sleep(0.001)
    paused = session.pause()
    sleep(0.05)
    assert session.progress()["step"] == paused["step"] >= 3
    assert session.state()["loss"] != start["loss"]
    session.run(1, 0.05, 8)
    told = finished(session)
    assert (told["step"], told["learning_rate"]) == (paused["step"] + 1, 0.05)
    assert session.reset() == {
        "revision": told["revision"] + 1,
        "running": False,
        "step": 0,
        "optimizer": None,
        "learning_rate": None,
        "batch_size": None,
        "points": [],
        "held": [],
        "stopped": None,
    }
    again = session.state()
    assert {**again, "revision": 0} == {**start, "revision": 0}


def test_new_settings_take_the_place_of_the_old(subject):
    session = Session(subject)
    for rate in (0.1, 0.2, 0.3):
        session.run(None, rate, 8)
    until = monotonic() + 10
    while len(learning := [t for t in threading.enumerate() if t.name == "explorer training"]) > 1:
        assert monotonic() < until, learning
        sleep(0.005)
    session.run(4, 0.2, 8)
    told = finished(session)
    assert told["learning_rate"] == 0.2
    step = told["step"]
    sleep(0.05)
    assert session.progress()["step"] == step


def test_a_loss_that_explodes(dataset):
    network = Network([Flatten(), Linear(3)], (1, 6, 6), loss="squared_error", engine="reference")
    session = Session(Subject("linear", network, dataset))
    session.run(1000, 1000, 16)
    told = finished(session)
    assert 1 <= told["step"] < 1000
    assert (
        "not finite; the network is back at the last weights with a finite loss. Lower the learning rate, 1000"
        in told["stopped"]
    )
    assert np.isfinite(session.state()["loss"])
    assert np.abs(session._network.flat_parameters).max() > 1e6  # not those of the beginning


def test_batch_norm_learns_from_single_samples(normalized, dataset):
    session = Session(Subject("normalized", normalized, dataset))
    session.run(3, 0.1, 1)
    assert finished(session)["step"] == 3  # 16 pixels a map are enough


def test_running_statistics_go_back_too(normalized, dataset):
    session = Session(Subject("normalized", normalized, dataset))
    assert session.state()["mode"] == {"training": True, "batch": 8}
    session.run(2, 0.1, 8)
    finished(session)
    changed = session._network.state["bn.running_mean"].copy()
    session.reset()
    assert (changed != 0).any()
    np.testing.assert_array_equal(session._network.state["bn.running_mean"], 0)


def test_a_fault_in_the_thread_is_told(subject, monkeypatch):
    monkeypatch.setattr(Training, "step", lambda self, *asked: 1 / 0)
    shown = []
    monkeypatch.setattr(threading, "excepthook", lambda found: shown.append(found.exc_type))
    session = Session(subject)
    session.run(None, 0.1, 8)
    assert finished(session)["stopped"] == "a fault of Pellucid's; the terminal shows more"
    for thread in threading.enumerate():
        if thread.name == "explorer training":
            thread.join()
    assert shown == [ZeroDivisionError]


def test_weights_that_are_not_finite_are_shown(subject, dataset):
    """Values, cells and a nudge: what a training may leave in between, or a file of another program hold."""
    session = Session(subject)
    session._network.flat_parameters[:3] = np.nan, np.inf, -np.inf
    state = session.choose("test", 0)
    assert state["loss"] is None
    cell = session.cell("conv", "value", (0, 0, 0), 0)
    assert (cell["value"], cell["total"]) == ("nan", "nan")
    assert [factor["value"] for term in cell["terms"] for factor in term["factors"][:1]][1:4] == ["nan", "inf", "-inf"]
    nudge = session.nudge("fc.bias", (0,), 1.0, 3)
    assert (nudge["loss"], nudge["losses"], nudge["gradient"]) == (None, [None] * 3, None)
    assert (
        session.tensors([{"what": "value", "name": "fc", "channels": None, "sample": 0}])["tensors"][0]["min"] is None
    )


def test_a_refusal_changes_nothing(dataset):
    """One sample has no variance: the mode is refused, and the page can go on as it was."""
    network = Network([Flatten(), Linear(4), BatchNorm(), Linear(3)], (1, 6, 6), engine="reference")
    session = Session(Subject("normalized", network, dataset))
    before = session.state()
    with pytest.raises(DataError, match="a single value for each statistic"):
        session.mode(True, 1)
    with pytest.raises(DataError, match="label 3 of sample 0 is out of range"):
        session.label(3)
    assert session.state() == before


def test_nobody_watches(subject, monkeypatch):
    monkeypatch.setattr("pellucid.explain.explorer.session._PATIENCE", 0.1)
    session = Session(subject)
    session.run(None, 0.01, 4)
    assert finished(session)["stopped"] is None


def test_without_data():
    network = Network([Flatten(), Linear(3)], (1, 4, 4), engine="reference")
    session = Session(Subject("bare", network))
    with pytest.raises(DataError, match="there is no data set; start pellucid explore with --data"):
        session.run(1, 0.1, 8)
    with pytest.raises(DataError, match="there is no data set"):
        session.gallery("test", 0, 1)
    assert session.progress() == session.pause()
    assert session.state()["sample"] == {"source": "made up", "split": None, "index": None, "label": 0}
    session.reset()


def test_the_subject_and_its_data_must_fit(dataset):
    with pytest.raises(DataError, match=r"bands has images of shape \(1, 6, 6\), the network takes \(1, 4, 4\)"):
        Subject("x", Network([Flatten(), Linear(3)], (1, 4, 4), engine="reference"), dataset)
    with pytest.raises(DataError, match="bands has 3 classes, the network has 5 outputs"):
        Subject("x", Network([Flatten(), Linear(5)], (1, 6, 6), engine="reference"), dataset)


def test_a_network_without_a_loss(dataset):
    network = Network([Conv2d(3, 3)], (1, 6, 6), engine="reference")
    with pytest.raises(ShapeError, match=r"a loss needs a vector for every sample, but the network gives \(3, 4, 4\)"):
        Subject("maps", network)


def test_a_mean_that_comes_from_the_data(dataset):
    network = Network([Flatten(), Linear(3)], (1, 6, 6), engine="reference", input_mean="pixel")
    session = Session(Subject("centred", network, dataset))
    pixels = dataset.x_test[0] / 255 - dataset.x_train.mean(axis=0) / 255
    with session.still() as (_, view):
        np.testing.assert_allclose(view.array("value", "input"), pixels, atol=1e-6)
