import base64

import pytest

from pellucid.errors import ConfigError
from pellucid.explain.explorer.fields import Flag, Many, Number, Object, Packed, Text, Whole


def read(field, value):
    return Object({"n": field}).read({"n": value}, "the body")["n"]


@pytest.mark.parametrize(
    ("field", "given", "taken"),
    [
        (Whole(0, 9), 9, 9),
        (Whole(-2, 9), -2, -2),
        (Whole(0, 9), 3.0, 3),
        (Number(0, 2), 2, 2.0),
        (Number(0, 2), 1e-9, 1e-9),
        (Flag(), False, False),
        (Text(("a", "b")), "b", "b"),
        (Packed(3), base64.b64encode(b"\0\1\2").decode(), b"\0\1\2"),
        (Many(Whole(0, 3), 0, 2), [], []),
        (Many(Whole(0, 3), 0, 2), [1, 3], [1, 3]),
    ],
)
def test_what_is_taken(field, given, taken):
    value = read(field, given)
    assert value == taken
    assert type(value) is type(taken)


@pytest.mark.parametrize(
    ("field", "given", "fault"),
    [
        (Whole(0, 9), 10, "the body: n must be a whole number from 0 to 9, got 10"),
        (Whole(0, 9), -1, "the body: n must be a whole number from 0 to 9, got -1"),
        (Whole(0, 9), 1.5, "must be a whole number from 0 to 9, got 1.5"),
        (Whole(0, 9), True, "must be a whole number from 0 to 9, got True"),
        (Whole(0, 9), "1", "must be a whole number from 0 to 9, got '1'"),
        (Whole(0, 9), None, "got None"),
        (Whole(0, 9), float("inf"), "got inf"),
        (Whole(0, 9), 10**4000, "got 1000"),
        (Number(0, 2), 0, "must be a number above 0 and up to 2, got 0"),
        (Number(0, 2), 2.1, "up to 2, got 2.1"),
        (Number(0, 2), float("nan"), "got nan"),
        (Number(0, 2), 10**4000, "got 1000"),
        (Number(0, 2), True, "got True"),
        (Flag(), 1, "must be true or false, got 1"),
        (Text(("a", "b")), "c", "must be one of a, b, got 'c'"),
        (Text(), "x" * 501, "must be a text of at most 500 characters, got 'xxx"),
        (Text(), 3, "got 3"),
        (Packed(3), "AAECAwQF", "must be base64 of at most 3 bytes, got 'AAECAwQF'"),
        (Packed(30), "A?==", "is not base64"),
        (Packed(30), "é", "is not base64"),
        (Many(Whole(0, 3), 1, 2), [], "must be a list of 1 to 2 entries, got []"),
        (Many(Whole(0, 3), 1, 2), [1, 7], "n[1] must be a whole number from 0 to 3, got 7"),
        (Many(Whole(0, 3), 1, 2), {"0": 1}, "must be a list"),
        (Object({}), [], "n must be a JSON object, got []"),
    ],
)
def test_what_is_refused(field, given, fault):
    with pytest.raises(ConfigError) as caught:
        read(field, given)
    assert fault in str(caught.value)
    assert len(str(caught.value)) < 200


def test_fields_left_out_and_unknown():
    thing = Object({"a": Whole(0, 9), "b": Whole(0, 9, default=4), "c": Whole(0, 9, default=None)})
    assert thing.read({"a": 1}, "the body") == {"a": 1, "b": 4, "c": None}
    assert thing.read({"a": 1, "c": None}, "the body") == {"a": 1, "b": 4, "c": None}
    with pytest.raises(ConfigError, match=r"^the body lacks 'a'$"):
        thing.read({}, "the body")
    with pytest.raises(ConfigError, match=r"^the body has no field 'd'; it takes a, b, c$"):
        thing.read({"a": 1, "d": 2}, "the body")
    with pytest.raises(ConfigError, match="b must be a whole number from 0 to 9, got None"):
        thing.read({"a": 1, "b": None}, "the body")


def test_queries():
    query = Object({"n": Whole(-5, 10**9), "index": Many(Whole(0, 99), 0, 3, default=[]), "what": Text(default="x")})
    assert query.parse_all({"n": "-3", "index": "1,22,3"}, "q") == {"n": -3, "index": [1, 22, 3], "what": "x"}
    assert query.parse_all({"n": "7", "index": ""}, "q") == {"n": 7, "index": [], "what": "x"}
    for wrong in ("1_0", " 1", "", "٣", "1.0", "9" * 5000, "--1"):
        with pytest.raises(ConfigError, match="n must be a whole number"):
            query.parse_all({"n": wrong}, "q")
    for wrong in ("1,2,3,4", "1,,2", ",", "a", "1," * 9999):
        with pytest.raises(ConfigError, match="index"):
            query.parse_all({"n": "1", "index": wrong}, "q")


def test_schemas():
    schema = Object({"a": Whole(0, 9), "b": Many(Number(0, 2), 1, 2, default=None)}).schema()
    assert schema == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 0, "maximum": 9},
            "b": {
                "anyOf": [
                    {
                        "type": "array",
                        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 2},
                        "minItems": 1,
                        "maxItems": 2,
                    },
                    {"type": "null"},
                ],
                "default": None,
            },
        },
        "required": ["a"],
        "additionalProperties": False,
    }
