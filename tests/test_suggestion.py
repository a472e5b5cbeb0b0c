from __future__ import annotations

from pellucid.suggestion import did_you_mean


def test_the_nearest_name_is_suggested():
    known = {"epochs", "batch_size", "learning_rate"}
    assert did_you_mean("epoch", known) == " (did you mean 'epochs'?)"
    assert did_you_mean("batchsize", known) == " (did you mean 'batch_size'?)"
    assert did_you_mean("xyzzy", known) == ""
    assert did_you_mean("epoch", []) == ""
