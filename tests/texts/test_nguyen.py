"""Nguyen's article, equations (1) to (66), loop by loop in his letters, against the library's network.

One image goes through, in float64. The only liberties are those of ``docs/errata.md``: S¹ in (59), I_{g+i,h+j} in (64)
and (65).
"""

# ruff: noqa: E741 - his I and O
from __future__ import annotations

from itertools import product
from math import exp, log
from types import SimpleNamespace

import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU

LABEL = 3


def feedforward(I, k1, b1, k2, b2, w, b):
    """Section 3: every quantity of (1) to (5), with the caches I1, I2, dS2P1 filled on the way."""
    S1, C1 = np.zeros((6, 24, 24)), np.zeros((6, 24, 24))
    for n, i, j in product(range(6), range(24), range(24)):
        S1[n, i, j] = sum(I[g + i, h + j] * k1[n, g, h] for g in range(5) for h in range(5)) + b1[n]  # (1)
        C1[n, i, j] = S1[n, i, j] if S1[n, i, j] > 0 else 0
    P1, I1 = pool(C1)  # (2), (57)

    S2, C2 = np.zeros((12, 8, 8)), np.zeros((12, 8, 8))
    for m, u, v in product(range(12), range(8), range(8)):
        S2[m, u, v] = b2[m]  # (3)
        for n, p, q in product(range(6), range(5), range(5)):
            S2[m, u, v] += P1[n, p + u, q + v] * k2[m, n, p, q]
        C2[m, u, v] = S2[m, u, v] if S2[m, u, v] > 0 else 0
    P2, I2 = pool(C2)  # (4), (42)

    f = np.zeros(192)
    for m, x, y in product(range(12), range(4), range(4)):
        f[16 * m + 4 * x + y] = P2[m, x, y]
    S = np.array([sum(w[i, j] * f[j] for j in range(192)) + b[i] for i in range(10)])  # (5)
    T = sum(exp(S[k]) for k in range(10))
    O = np.array([exp(S[i]) / T for i in range(10)])
    return {"S1": S1, "C1": C1, "P1": P1, "I1": I1, "S2": S2, "C2": C2, "P2": P2, "I2": I2, "f": f, "S": S, "O": O}


def pool(C):
    """P of (2) and (4), and where each maximum sits: I1 and I2 of (57) and (42)."""
    maps, height, width = C.shape
    P = np.full((maps, height // 2, width // 2), -np.inf)
    where = np.zeros((*P.shape, 2), dtype=int)
    for n, i, j in product(range(maps), range(height), range(width)):
        r, s = i // 2, j // 2
        if C[n, i, j] > P[n, r, s]:
            P[n, r, s] = C[n, i, j]
            where[n, r, s] = i, j
    return P, where


def unpool(dLP, where, shape):
    """DLC of (43) and (58): each dLP goes where its maximum was."""
    dLC = np.zeros(shape)
    for n, r, s in np.ndindex(dLP.shape):
        i_max, j_max = where[n, r, s]
        dLC[n, i_max, j_max] = dLP[n, r, s]
    return dLC


def backpropagation(I, k2, w, ff, label):
    """Section 4: every gradient of (6) to (65)."""
    O, f = ff["O"], ff["f"]
    dLS = np.array([O[i] - 1 if i == label else O[i] for i in range(10)])  # (23)
    dLb = dLS.copy()  # (25)
    dLw = np.array([[dLS[i] * f[j] for j in range(192)] for i in range(10)])  # (29)
    dLf = np.array([sum(dLS[i] * w[i, k] for i in range(10)) for k in range(192)])  # (37)
    dLP2 = dLf.reshape(12, 4, 4)  # (39)
    dLC2 = unpool(dLP2, ff["I2"], (12, 8, 8))  # (43)
    dC2S2 = np.zeros((12, 8, 8))
    for m, u, v in np.ndindex(12, 8, 8):
        dC2S2[m, u, v] = 1 if ff["S2"][m, u, v] > 0 else 0  # (44)
    dLS2 = dLC2 * dC2S2  # (45)
    dLb2 = np.array([sum(dLS2[m, u, v] for u in range(8) for v in range(8)) for m in range(12)])  # (47)
    dLk2 = np.zeros((12, 6, 5, 5))
    for m, n, p, q in np.ndindex(12, 6, 5, 5):
        dLk2[m, n, p, q] = sum(dLS2[m, u, v] * ff["P1"][n, p + u, q + v] for u in range(8) for v in range(8))  # (50)

    dS2P1 = np.zeros((6, 12, 12, 12, 8, 8))
    for m, u, v in product(range(12), range(8), range(8)):
        dS2P1[0:6, u : (u + 5), v : (v + 5), m, u, v] = k2[m]  # (55)
    dLP1 = np.zeros((6, 12, 12))
    for n, r, s in np.ndindex(6, 12, 12):
        dLP1[n, r, s] = (dLS2 * dS2P1[n, r, s]).sum()  # (56)
    dLC1 = unpool(dLP1, ff["I1"], (6, 24, 24))  # (58)
    dC1S1 = np.zeros((6, 24, 24))
    for n, i, j in np.ndindex(6, 24, 24):
        dC1S1[n, i, j] = 1 if ff["S1"][n, i, j] > 0 else 0  # (59)
    dLS1 = dLC1 * dC1S1  # (60)
    dLb1 = np.array([sum(dLS1[n, i, j] for i in range(24) for j in range(24)) for n in range(6)])  # (62)
    dLk1 = np.zeros((6, 5, 5))
    for n, g, h in np.ndindex(6, 5, 5):
        dLk1[n, g, h] = sum(dLS1[n, i, j] * I[g + i, h + j] for i in range(24) for j in range(24))  # (65)
    deltas = {"dLS": dLS, "dLf": dLf, "dLP2": dLP2, "dLC2": dLC2, "dLS2": dLS2}
    deltas |= {"dLP1": dLP1, "dLC1": dLC1, "dLS1": dLS1}
    gradients = {"k1": dLk1, "b1": dLb1, "k2": dLk2, "b2": dLb2, "w": dLw, "b": dLb}
    return deltas, gradients


def network():
    layers = [
        Conv2d(6, 5, name="S1"),
        ReLU(name="C1"),
        MaxPool2d(2, name="P1"),
        Conv2d(12, 5, name="S2"),
        ReLU(name="C2"),
        MaxPool2d(2, name="P2"),
        Flatten(name="f"),
        Linear(10, name="S"),
    ]
    return Network(layers, (1, 28, 28), loss="cross_entropy", dtype="float64", engine="reference")


#: his letter to the library's name
PARAMETERS = {
    "k1": "S1.weight",
    "b1": "S1.bias",
    "k2": "S2.weight",
    "b2": "S2.bias",
    "w": "S.weight",
    "b": "S.bias",
}


@pytest.fixture(scope="module")
def case():
    """One image, his parameters, all that sections 3 and 4 compute from them, and the library's trace."""
    rng = np.random.default_rng(1)
    I = rng.uniform(size=(28, 28)) * (rng.uniform(size=(28, 28)) < 0.4)  # most pixels black, as in a digit
    θ = {
        "k1": rng.normal(0, 0.3, (6, 5, 5)),
        "b1": rng.normal(0, 0.1, 6),
        "k2": rng.normal(0, 0.1, (12, 6, 5, 5)),
        "b2": rng.normal(0, 0.1, 12),
        "w": rng.normal(0, 0.1, (10, 192)),
        "b": rng.normal(0, 0.1, 10),
    }
    ff = feedforward(I, **θ)
    deltas, gradients = backpropagation(I, θ["k2"], θ["w"], ff, LABEL)
    net = network()
    for letter, name in PARAMETERS.items():
        net.parameters[name] = θ[letter].reshape(net.parameters[name].shape)
    image = I[None, None]
    return SimpleNamespace(
        image=image, θ=θ, ff=ff, deltas=deltas, gradients=gradients, net=net, trace=net.trace(image, [LABEL])
    )


def assert_close(actual, expected):
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["S1", "C1", "P1", "S2", "C2", "P2", "f", "S"])
def test_feedforward(case, name):
    assert np.count_nonzero(case.ff[name])
    assert_close(case.trace[name].output, case.ff[name])


def test_softmax_and_loss(case):
    assert_close(case.trace.prediction, case.ff["O"])
    assert case.trace.loss == pytest.approx(-log(case.ff["O"][LABEL]), rel=1e-12)  # (6)


@pytest.mark.parametrize("name", ["dLS", "dLf", "dLP2", "dLC2", "dLS2", "dLP1", "dLC1", "dLS1"])
def test_error_terms(case, name):
    assert np.count_nonzero(case.deltas[name])
    assert_close(case.trace[name.removeprefix("dL")].delta, case.deltas[name])


@pytest.mark.parametrize("letter", PARAMETERS)
def test_gradients(case, letter):
    _, ours = case.net.loss_and_gradients(case.image, [LABEL])
    assert_close(ours[PARAMETERS[letter]], case.gradients[letter])


def test_derivative_of_softmax():
    """(18), (21), (22) against central differences of (5)."""
    S = np.array([0.5, -1.0, 2.0])

    def softmax_of_label(S, label=1):
        return exp(S[label]) / sum(map(exp, S))

    O = np.array([exp(s) / sum(map(exp, S)) for s in S])
    for i in range(3):
        step = 1e-6 * (np.arange(3) == i)
        printed = (1 - O[1]) * O[1] if i == 1 else -O[1] * O[i]
        assert (softmax_of_label(S + step) - softmax_of_label(S - step)) / 2e-6 == pytest.approx(printed, rel=1e-8)


@pytest.mark.parametrize("η", [0.01, 0.5])
def test_one_step_of_gradient_descent(case, η):
    """(66), for all six parameters at once."""
    trained = case.net.copy()
    trained.fit(case.image, [LABEL], epochs=1, batch_size=1, optimizer="sgd", learning_rate=η, verbose=0)
    for letter, name in PARAMETERS.items():
        assert_close(trained.parameters[name], case.θ[letter] - η * case.gradients[letter])


def test_figure_4():
    """C²[m] holds 0.31 at u = 3, v = 2; the maximum of its block, 0.32, is at u = 2, v = 3."""
    rng = np.random.default_rng(2)
    C2m = rng.uniform(0, 0.3, (8, 8))
    C2m[3, 2], C2m[2, 3] = 0.31, 0.32
    head = Network([MaxPool2d(2, name="P2"), Flatten(), Linear(10)], (1, 8, 8), dtype="float64", engine="reference")
    trace = head.trace(C2m[None, None], [LABEL])
    assert trace["P2"].output[0, 0, 1, 1] == 0.32
    assert trace.input_delta[0, 0, 3, 2] == 0  # (40)
    assert trace.input_delta[0, 0, 2, 3] == trace["P2"].delta[0, 0, 1, 1] != 0  # (33)

    def loss(change, u, v):
        moved = C2m.copy()
        moved[u, v] += change
        return head.trace(moved[None, None], [LABEL]).loss

    assert loss(1e-9, 3, 2) == trace.loss
    assert loss(1e-9, 2, 3) != trace.loss
    slope = (loss(1e-5, 2, 3) - loss(-1e-5, 2, 3)) / 2e-5
    assert slope == pytest.approx(trace["P2"].delta[0, 0, 1, 1], rel=1e-8)
