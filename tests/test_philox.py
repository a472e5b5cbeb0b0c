from __future__ import annotations

import numpy as np
import pytest

from pellucid.philox import Stream, philox

# Known answers published with Random123, kat_vectors, "philox4x32 10".
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def scalar(counter: list[int], key: list[int]) -> list[int]:
    """Ten rounds in Python's own whole numbers."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q >> 32 ^ b ^ k, q % 2**32, p >> 32 ^ d ^ m, p % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return [a, b, c, d]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    k, m = words(key)
    a, b, c, d = (np.array([word], np.uint64) for word in words(counter))
    assert [int(word[0]) for word in philox((a, b, c, d), (k, m))] == words(answer)
    assert scalar(words(counter), words(key)) == words(answer)


@pytest.mark.parametrize("entries", [1, 2, 4, 5, 11])
@pytest.mark.parametrize("seed", [0, 3, 2**32 + 9, 2**64 + 3])
def test_a_stream_counts_entries_samples_layer_and_step(seed: int, entries: int) -> None:
    given = Stream(seed, step=2**32 + 7, layer=5).words((3, entries))
    assert given.shape == (3, entries)
    key = [seed % 2**32, seed // 2**32 % 2**32]
    for sample in range(3):
        for entry in range(entries):
            assert given[sample, entry] == scalar([entry // 4, sample, 5, 7], key)[entry % 4]


def test_maps_are_counted_channel_by_channel_and_row_by_row() -> None:
    stream = Stream(1, 2, 3)
    np.testing.assert_array_equal(stream.words((2, 3, 4, 5)).reshape(2, 60), stream.words((2, 60)))
    assert stream.words((0, 7)).shape == (0, 7)


def test_words_fill_their_range_evenly() -> None:
    given = Stream(4).words((100, 1000))
    counts = np.bincount((given.ravel() >> np.uint64(28)).astype(np.int64), minlength=16)
    expected = given.size / 16
    # χ² with 15 degrees of freedom exceeds 50 once in 80,000 tries.
    assert ((counts - expected) ** 2 / expected).sum() < 50
