from threading import Barrier, Event, Thread
from time import monotonic, sleep

import pytest

from pellucid.explain.explorer.turns import Turns


def test_one_at_a_time():
    turns, inside, most, start = Turns(), [0], [0], Barrier(4)

    def work():
        start.wait()
        for _ in range(50):
            with turns:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                sleep(0)
                inside[0] -= 1

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == ([0], [1])


def test_who_waits_comes_before_who_has_just_had_it():
    turns, ends, rounds = Turns(), [monotonic() + 3], [0]

    def greedy():
        while monotonic() < ends[0]:
            with turns:
                sleep(0.01)
                rounds[0] += 1

    thread = Thread(target=greedy)
    thread.start()
    while not rounds[0]:
        sleep(0.001)
    before = rounds[0]
    for _ in range(40):
        with turns:
            pass
        sleep(0.002)  # so that it waits again for one that has the lock
    waited = rounds[0] - before
    ends[0] = 0
    thread.join()
    # One round each time, or two if it came just too late.
    assert waited <= 80


def test_let_go_after_an_error():
    turns, took = Turns(), Event()

    def take():
        with turns:
            took.set()

    with pytest.raises(ValueError, match="in between"), turns:
        raise ValueError("in between")
    Thread(target=take, daemon=True).start()
    assert took.wait(10)
