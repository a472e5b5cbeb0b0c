from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from native_nets import NETS, RNG, build, samples

from pellucid import Network, zoo

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bytes that look like digits: a bright bar where the class says, in noise."""
    labels = RNG(0).integers(0, 10, n)
    pixels = RNG(1).integers(0, 80, (n, 1, 28, 28))
    for t, label in enumerate(labels):
        pixels[t, 0, 2 * label + 4 : 2 * label + 7] += 150
    return pixels.astype(np.uint8), labels


def trained(seed: int = 3, n_jobs: int | None = None) -> str:
    """Train Nguyen's net for three epochs; the last batch of each is a short one."""
    network = zoo.nguyen(engine="native", seed=seed)
    network.n_jobs = n_jobs
    history = network.fit(*images(300), epochs=3, batch_size=64, learning_rate=0.1, optimizer="momentum", verbose=0)
    assert history["loss"][-1] < history["loss"][0] / 2
    return digest(network.flat_parameters, np.array(history["loss"]))


# Threads of the engine.


def test_training_gives_the_same_bits_on_any_number_of_threads() -> None:
    found = {trained(n_jobs=count) for count in (1, 2, 3, 4, 1, 2)}
    assert len(found) == 1
    assert trained(seed=4) not in found


@pytest.mark.parametrize("name", NETS)
def test_every_layer_gives_the_same_bits_on_any_number_of_threads(name: str) -> None:
    # 3 samples are one block, which threads share; 40 are three: on two threads the last is shared.
    network = build(*NETS[name], loss="squared_error")
    for n in (3, 40):
        x, y = samples(network, n)
        found = set()
        for count in (1, 2, 3, 5):
            network.n_jobs = count
            loss, gradients = network.loss_and_gradients(x, y)
            found.add(digest(np.array(loss), network.forward(x), *gradients.values()))
        assert len(found) == 1


def run(script: str, **environment: str) -> str:
    """Run a script in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


TRAIN = "from test_native_repeat import trained; print(trained())"


@pytest.mark.parametrize(
    "environment",
    [{}, {"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, {"OMP_NUM_THREADS": "3", "OMP_DYNAMIC": "true"}],
    ids=["fresh", "limit", "dynamic"],
)
def test_another_process_gives_the_same_bits_also_with_fewer_threads_than_asked_for(
    environment: dict[str, str],
) -> None:
    script = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); {TRAIN}"
    assert run(script, **environment) == trained()


# What ran before.


def test_a_gradient_does_not_depend_on_what_ran_before() -> None:
    def gradient(network: Network, n: int) -> str:
        return digest(*network.loss_and_gradients(*samples(network, n))[1].values())

    for name in ("conv same", "max pool", "avg pool", "activations after pools"):
        fresh = {n: gradient(build(*NETS[name]), n) for n in (1, 7, 16, 40)}
        used = build(*NETS[name])
        for n in (40, 1, 16, 7, 40):
            assert gradient(used, n) == fresh[n]
            used.forward(1e3 * samples(used, 19, seed=n)[0])
        # Nor on numbers that were not finite.
        good = used.flat_parameters.copy()
        used.flat_parameters[...] = np.nan
        used.loss_and_gradients(*samples(used, 40))
        used.flat_parameters[...] = good
        assert gradient(used, 7) == fresh[7]


def test_a_prediction_does_not_depend_on_its_neighbours() -> None:
    network = build(*NETS["activations after pools"], n_jobs=1)
    x, _ = samples(network, 50)
    whole = network.forward(x)
    assert digest(whole) == digest(network.forward(x, batch_size=7))
    assert digest(whole) == digest(*(network.forward(x[t : t + 1]) for t in range(50)))
    order = RNG(5).permutation(50)
    assert digest(whole[order]) == digest(network.forward(x[order]))


# Threads of Python.


def test_networks_trained_at_once_give_the_same_bits_as_alone() -> None:
    alone = [trained(seed) for seed in (3, 4, 5)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(trained, (3, 4, 5))) == alone


def test_one_network_used_by_several_threads_at_once() -> None:
    network = build(*NETS["activations after pools"])

    def results(n: int) -> str:
        x, y = samples(network, n, seed=n)
        return digest(network.predict(x), *network.loss_and_gradients(x, y)[1].values())

    batches = (1, 16, 33, 70)
    expected = {n: results(n) for n in batches}
    start = threading.Barrier(len(batches))
    wrong: list[int] = []

    def use(n: int) -> None:
        start.wait(10)
        wrong.extend(n for _ in range(25) if results(n) != expected[n])

    threads = [threading.Thread(target=use, args=(n,)) for n in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


# Processes. A script forks, so that nothing of the test process is forked along.

FORK = """
import os, signal, sys, threading, warnings
import numpy as np
from pellucid import zoo

warnings.simplefilter("ignore")  # from 3.12 on, Python warns of forking a process with threads
network = zoo.nguyen(engine="native")
x = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28)).astype(np.uint8)
y = np.arange(40) % 10
before = network.forward(x)
_, gradients = network.loss_and_gradients(x, y)

def check():
    signal.alarm(20)  # a child that waits for threads that it does not have is ended
    same = (network.forward(x) == before).all()
    _, again = network.loss_and_gradients(x, y)
    same = same and all((again[name] == gradients[name]).all() for name in gradients)
    fresh = zoo.nguyen(engine="native").forward(x)
    os._exit(0 if same and (fresh == before).all() else 1)

def child():
    pid = os.fork()
    if pid == 0:
        check()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_a_forked_child_computes_the_same(threads: str) -> None:
    script = FORK + "print(child(), child()); assert (network.forward(x) == before).all()"
    assert run(script, OMP_NUM_THREADS=threads) == "0 0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_while_the_network_is_busy_computes_the_same() -> None:
    busy = """
stop = False
many = np.zeros((2048, 1, 28, 28), np.uint8)
def work():
    while not stop:
        network.forward(many, batch_size=2048)
worker = threading.Thread(target=work)
worker.start()
codes = [child() for _ in range(3)]
stop = True
worker.join()
print(codes)
"""
    assert run(FORK.replace("alarm(20)", "alarm(5)") + busy) == "[0, 0, 0]"
