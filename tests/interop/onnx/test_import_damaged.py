"""Files that are damaged, or that claim what they do not hold: a clear error, and neither a crash nor memory for it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from onnx_models import lenet, model, node, normal

from pellucid.errors import ModelFileError, PellucidError
from pellucid.interop.onnx import import_model

RNG = np.random.default_rng


def branched() -> ModelProto:
    """Return a model of the operators that a classifier's has not."""
    weights = {"w": normal(RNG(1), 3, 2, 3, 3), "k": np.array([0, 0, 1, 0, 0, 0, 1, 0])}
    nodes = [
        node("Pad", "x k", "p"),
        node("Conv", "p w", "c", pads=[0, 1, 1, 0]),
        node("LRN", "c", "l", size=3),
        node("AveragePool", "l", "a", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[1, 1, 1, 1]),
        node("LpPool", "a", "n", kernel_shape=[2, 2]),
        node("Elu", "n", "e"),
        node("LeakyRelu", "e", "r"),
        node("Concat", "r e", "j", axis=1),
        node("GlobalAveragePool", "j", "g"),
        node("Constant", "", "t", value_ints=[0, -1]),
        node("Reshape", "g t", "f"),
        node("Softmax", "f", "y", axis=-1),
    ]
    return model(nodes, weights, (1, 2, 6, 7))


@pytest.fixture(scope="module", params=["lenet", "branched"])
def data(request: pytest.FixtureRequest) -> bytes:
    made = (lenet(RNG(0), end="Softmax") if request.param == "lenet" else branched()).SerializeToString()
    assert import_model(made, engine="reference").output_shape in ((4,), (6,))
    return made


def outcome(data: bytes) -> str:
    """Return the message of the error that data lead to, or nothing; any error that is not ours fails the test."""
    try:
        import_model(data, engine="reference")
    except PellucidError as error:
        return str(error)
    return ""


def test_truncated_anywhere(data: bytes) -> None:
    rng = RNG(2)
    for length in {0, 1, len(data) - 1, *rng.integers(0, len(data), 300).tolist()}:
        assert outcome(data[:length]).startswith("the ONNX model: "), length


def test_bytes_changed_anywhere(data: bytes) -> None:
    rng = RNG(3)
    refused = 0
    for _ in range(500):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        refused += bool(outcome(bytes(changed)))
    assert refused > 100  # ONNX has no checksum: a changed weight is a weight


def test_settings_changed_to_anything(data: bytes) -> None:
    rng = RNG(4)
    values = [-1, 0, 1, 2, 7, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63)]
    tracemalloc.start()
    for _ in range(150):
        made = onnx.load_model_from_string(data)
        for _ in range(rng.integers(1, 4)):
            change(made, rng, values[rng.integers(len(values))])
        outcome(made.SerializeToString())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def change(made: ModelProto, rng: np.random.Generator, value: int) -> None:
    """Change an attribute, a shape, an edge, or an operator of a model."""
    nodes, tensors = list(made.graph.node), made.graph.initializer
    chosen = nodes[rng.integers(len(nodes))]
    what = rng.integers(6)
    if what < 2 and len(chosen.attribute):
        attribute = chosen.attribute[rng.integers(len(chosen.attribute))]
        if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = value
        attribute.i, attribute.f = value, float(rng.choice([np.nan, np.inf, -1, 0, 1e30]))
    elif what == 2:
        tensor = tensors[rng.integers(len(tensors))]
        tensor.dims[rng.integers(len(tensor.dims))] = value
    elif what == 3:
        sizes = made.graph.input[0].type.tensor_type.shape.dim
        sizes[rng.integers(len(sizes))].dim_value = value
    elif what == 4 and len(chosen.input):
        others = ["x", "y", "", tensors[0].name, nodes[rng.integers(len(nodes))].output[0]]
        chosen.input[rng.integers(len(chosen.input))] = others[rng.integers(5)]
    else:
        chosen.op_type = nodes[rng.integers(len(nodes))].op_type


def tensor(**fields: Any) -> TensorProto:
    return TensorProto(name="w", **fields)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (tensor(data_type=1, dims=[10**6] * 2, raw_data=b"1234"), r"\[1000000, 1000000\], 4,0.* bytes, and holds 4: "),
        (tensor(data_type=1, dims=[2**62, 2**62, 8], raw_data=b""), "bytes, and holds 0"),
        (tensor(data_type=1, dims=[4, 2, 1, 1], float_data=[1.0]), r"\[4, 2, 1, 1\], 8 numbers, and holds 1"),
        (tensor(data_type=1, dims=[1], raw_data=bytes(8)), r"\[1\], 4 bytes, and holds 8"),
        (tensor(data_type=1, dims=[1], float_data=[1.0, 2.0]), r"\[1\], 1 numbers, and holds 2"),
        (tensor(data_type=1, dims=[-4, -2], raw_data=b"1234" * 8), "which has a negative length"),
        (tensor(data_type=8, dims=[1], string_data=[b"a"]), "has element type 8; only plain numbers are taken"),
        (tensor(data_type=99, dims=[1], raw_data=b"1"), "has element type 99"),
        (tensor(data_type=3, dims=[1], int32_data=[300]), "holds numbers that do not fit its type, int8"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_hold_what_they_claim(weight: TensorProto, message: str) -> None:
    made = model([node("Conv", "x w", "y")])
    made.graph.initializer.append(weight)
    tracemalloc.start()
    with pytest.raises(ModelFileError, match=message):
        import_model(made.SerializeToString())
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


HUGE = 2**31 - 1


@pytest.mark.parametrize(
    ("nodes", "weights", "shape"),
    [
        ([node("Relu", "x", "y")], {}, (1, 3, 10**6, 10**6)),
        ([node("Conv", "x w", "y", pads=[HUGE] * 4)], {"w": np.ones((1, 2, 3, 3), np.float32)}, (1, 2, 6, 7)),
        ([node("MaxPool", "x", "y", kernel_shape=[HUGE] * 2, pads=[HUGE - 1] * 4)], {}, (1, 2, 6, 7)),
        ([node("Pad", "x p", "y")], {"p": np.array([0, 0, 0, 0, 0, 0, HUGE, HUGE])}, (1, 2, 6, 7)),
        ([node("Pad", "x p", "y")], {"p": np.array([0, 0, 0, 0, 0, 10**15, 0, 0])}, (1, 2, 6, 7)),
        (
            [node("Pad", "w p", "v"), node("MatMul", "x v", "y")],
            {"w": np.ones(1, np.float32), "p": np.array([0, 10**14])},
            (1, 6),
        ),
        (
            [node("MatMul", "u v", "w"), node("MatMul", "x w", "y")],
            {"u": np.ones((10**6, 1), np.float32), "v": np.ones((1, 10**6), np.float32)},
            (1, 10**6),
        ),
        (
            [node("Add", "u v", "w"), node("MatMul", "x w", "y")],
            {"u": np.ones((10**6, 1), np.float32), "v": np.ones((1, 10**6), np.float32)},
            (1, 10**6),
        ),
    ],
)
def test_sizes_that_no_memory_holds(nodes: list[Any], weights: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    data = model(nodes, weights, shape).SerializeToString()
    tracemalloc.start()
    with pytest.raises(ModelFileError, match=r"would take .*iB, and there are .*iB in all|absurd"):
        import_model(data)
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_names_that_are_no_text() -> None:
    data = model([node("Relu", "x", "qqqq"), node("Tanh", "qqqq", "y")]).SerializeToString()
    with pytest.raises(ModelFileError, match="has names that are no text: it is damaged"):
        import_model(data.replace(b"qqqq", b"q\xff\xfeq"))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "Zähler.onnx"
    with pytest.raises(ModelFileError, match=r"Zähler\.onnx: there is no such file"):
        import_model(path)
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"Zähler\.onnx: is empty; copy or download it again"):
        import_model(path)
    path.write_text("# not a model")
    with pytest.raises(ModelFileError, match=r"Zähler\.onnx: is cut off, damaged, or not an ONNX model"):
        import_model(path)
    path.write_bytes(ModelProto(ir_version=8).SerializeToString())
    with pytest.raises(ModelFileError, match=r"Zähler\.onnx: holds no graph"):
        import_model(path)
    with pytest.raises(ModelFileError, match="cannot be read: Is a directory"):
        import_model(tmp_path)


@pytest.fixture
def external(tmp_path: Path) -> Path:
    made = lenet(RNG(0))
    onnx.save(made, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    return tmp_path / "net.onnx"


def test_external_data_are_refused_unless_asked_for(external: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"net\.onnx: tensor '.*' lies in another file, 'net.bin' \(external data\)"
    ):
        import_model(external)
    with pytest.raises(ModelFileError, match="lies in another file"):
        import_model(external.read_bytes(), external_data=True)
    x = normal(RNG(5), 3, 1, 12, 12)
    found = import_model(external, external_data=True).forward(x)
    np.testing.assert_array_equal(found, import_model(lenet(RNG(0)).SerializeToString()).forward(x))


@pytest.mark.parametrize("location", ["../net.bin", "/etc/hostname", "", "sub/../../net.bin", "link"])
def test_external_data_stay_in_the_models_folder(external: Path, location: str) -> None:
    (external.parent.parent / "net.bin").write_bytes(bytes(10**5))
    (external.parent / "link").symlink_to(external.parent.parent / "net.bin")
    rewrite(external, "location", location)
    with pytest.raises(ModelFileError, match="which is not in the model's folder; only files there are read"):
        import_model(external, external_data=True)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("location", "gone.bin", "'gone.bin', which cannot be read: No such file"),
        ("location", ".", "which cannot be read: Is a directory|it should hold"),
        ("offset", "100000000000", "it should hold 216 bytes from byte 100,000,000,000 on"),
        ("offset", "-4", "at '-4', which is not a place in a file"),
        ("length", "4", "it should hold 216 bytes from byte .* on, is announced with 4"),
        ("length", "ten", "at 'ten', which is not a place in a file"),
    ],
)
def test_external_data_that_are_not_there(external: Path, key: str, value: str, message: str) -> None:
    rewrite(external, key, value)
    with pytest.raises(ModelFileError, match=message):
        import_model(external, external_data=True)


def rewrite(path: Path, key: str, value: str) -> None:
    """Change where the first tensor says that it lies."""
    made = onnx.load(path, load_external_data=False)
    for entry in made.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    path.write_bytes(made.SerializeToString())
