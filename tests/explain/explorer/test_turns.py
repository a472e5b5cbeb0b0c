from threading import Barrier, Thread
from time import monotonic, sleep

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
    turns, ends, rounds = Turns(), monotonic() + 3, [0]

    def greedy():
        while monotonic() < ends:
            with turns:
                sleep(0.02)
                rounds[0] += 1

    thread = Thread(target=greedy)
    thread.start()
    while not rounds[0]:
        sleep(0.001)
    before = rounds[0]
    for _ in range(5):
        with turns:
            pass
    waited = rounds[0] - before
    ends = 0
    thread.join()
    # With a plain lock it would come to about 150: the whole three seconds.
    assert waited <= 10


def test_let_go_after_an_error():
    turns = Turns()
    for _ in range(2):
        try:
            with turns:
                raise ValueError
        except ValueError:
            pass
