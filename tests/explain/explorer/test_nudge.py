import pytest

from pellucid.explain.explorer import Session, nudge


@pytest.mark.parametrize(("effort", "told"), [(10**9, 41), (20_000, 15), (0, 5)])
def test_a_nudge_of_a_deep_network_has_fewer_values(subject, monkeypatch, effort, told):
    """One pass of this network takes 4·4·4·9 + 16·3 = 624 multiply-adds, or twice that for two samples."""
    monkeypatch.setattr(nudge, "_EFFORT", effort)
    session = Session(subject)
    session.mode(False, 2)
    found = session.nudge("fc.bias", (0,), 1.0, 41)
    assert (len(found["values"]), len(found["losses"]), len(found["predicted"])) == (told,) * 3
    assert (found["values"][0], found["values"][told // 2], found["values"][-1]) == (-1, 0, 1)
    assert found["losses"][told // 2] == found["loss"]
