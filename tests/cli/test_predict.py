import gzip

import numpy as np
import pytest

from pellucid import Network
from pellucid.data import load_dataset
from pellucid.layers import Flatten, Linear


@pytest.fixture(scope="module")
def data():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    return load_dataset("digits")


def idx(images):
    return b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()


def test_test_images_by_number(cli, model, data):
    told = cli.json("predict", model, "--data", "digits", "--index", 8, "--index", 0)
    p = Network.load(model).predict(data.x_test[[8, 0]])
    assert told["model"] == str(model)
    for row, i, expected in zip(told["predictions"], (8, 0), p, strict=True):
        assert row["image"] == f"digits[{i}]"
        assert row["label"] == data.y_test[i]
        assert row["class"] == expected.argmax()
        assert row["class_name"] == str(expected.argmax())
        np.testing.assert_allclose(row["probabilities"], expected, rtol=1e-5)
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (1, 1, 8, 8)])
def test_a_file_of_one_image(cli, model, data, tmp_path, shape):
    np.save(tmp_path / "one.npy", data.x_test[4].reshape(shape))
    (row,) = cli.json("predict", model, tmp_path / "one.npy")["predictions"]
    assert row["image"] == str(tmp_path / "one.npy")
    assert "label" not in row
    np.testing.assert_allclose(row["probabilities"], Network.load(model).predict(data.x_test[4:5])[0], rtol=1e-5)


def test_files_of_several_images(cli, model, data, tmp_path):
    pixels = (data.x_test[:3, 0] * 255).round().astype(np.uint8)
    expected = Network.load(model).predict(pixels)
    np.save(tmp_path / "a.npy", pixels)
    np.savez(tmp_path / "b.npz", images=pixels[:, None])
    np.savez_compressed(tmp_path / "c", anything=pixels)
    (tmp_path / "d").write_bytes(idx(pixels))
    (tmp_path / "e.gz").write_bytes(gzip.compress(idx(pixels)))
    files = [tmp_path / name for name in ("a.npy", "b.npz", "c.npz", "d", "e.gz")]
    told = cli.json("predict", model, *files)["predictions"]
    assert [row["image"] for row in told] == [f"{file}[{i}]" for file in files for i in range(3)]
    np.testing.assert_allclose([row["probabilities"] for row in told], np.tile(expected, (5, 1)), rtol=1e-5)


def test_table(cli, model, data):
    rows = cli.json("predict", model, "--data", "digits", "--index", 3)["predictions"]
    probabilities = np.array(rows[0]["probabilities"])
    first, second, third = np.argsort(-probabilities)[:3]
    most = ", ".join(f"{k}: {probabilities[k]:.4f}" for k in (first, second, third))
    assert f"│ digits[3] │ {first}     │ {most} │" in cli("predict", model, "--data", "digits", "--index", 3).stdout


def test_classes_with_names(cli, tmp_path, monkeypatch, data):
    names = ("T-shirt/top", *"123456789")
    monkeypatch.setattr("pellucid.data.load_dataset", lambda *_: type(data)(**{**vars(data), "class_names": names}))
    net = Network([Flatten(), Linear(10, weight_init="zeros")], (1, 8, 8))
    net.parameters["1.bias"][0] = 5
    net.save(tmp_path / "m.safetensors")
    arguments = ("predict", tmp_path / "m.safetensors", "--data", "digits", "--index", 0)
    assert cli.json(*arguments)["predictions"][0]["class_name"] == "T-shirt/top"
    assert "│ 0 T-shirt/top │" in cli(*arguments).stdout


def test_names_lie_beside_the_model(cli, tmp_path):
    net = Network([Flatten(), Linear(2, weight_init="zeros")], (1, 8, 8))
    net.parameters["1.bias"][1] = 5
    net.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "one.npy", np.zeros((8, 8)))
    for beside, name in (
        (None, "1"),
        ('{"class_names": ["cat", "dog"]}', "dog"),
        ('{"class_names": ["one", "too", "many"]}', "1"),
        ('["not ours"]', "1"),
        ("not JSON", "1"),
    ):
        if beside is not None:
            (tmp_path / "result.json").write_text(beside)
        (row,) = cli.json("predict", tmp_path / "m.safetensors", tmp_path / "one.npy")["predictions"]
        assert (row["class"], row["class_name"]) == (1, name)


def test_a_model_that_takes_no_pictures(cli, tmp_path):
    Network([Linear(2)], (5,)).save(tmp_path / "m.safetensors")
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    assert cli.error("predict", tmp_path / "m.safetensors", tmp_path / "x.png") == (
        f"DataError: {tmp_path}/x.png is no .npy, .npz or IDX file, and the model takes no pictures: (5,)"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.npy", None, "DataError: cannot read no.npy: No such file or directory"),
        ("x.png", b"\x89PNG\r\n\x1a\n", "DataError: x.png is not an image, or cut off in its first bytes;"),
        ("empty", b"", "DataError: empty is not an image, or cut off in its first bytes;"),
        ("cut.npy", b"\x93NUMPY\x01\0", "DataError: cannot read cut.npy: "),
        ("cut.npz", b"PK\x03\x04 and so on", "DataError: cannot read cut.npz: File is not a zip file"),
        ("cut.gz", b"\x1f\x8b\x08\0", "DataError: cut.gz is cut off"),
        ("cut-idx", b"\0\0\x08\x03\0\0", "DataError: cut-idx is cut off inside its header"),
    ],
)
def test_files_that_cannot_be_read(cli, model, tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert cli.error("predict", model, name).startswith(message)


def test_arrays_that_cannot_be_used(cli, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("words.npy", np.array(["a"]))
    assert cli.error("predict", model, "words.npy") == "DataError: images must be real numbers, got dtype <U1"
    np.save("objects.npy", np.array([None]), allow_pickle=True)
    assert cli.error("predict", model, "objects.npy").startswith("DataError: cannot read objects.npy: Object arrays")
    np.save("large.npy", np.zeros((28, 28)))
    assert cli.error("predict", model, "large.npy") == (
        "ShapeError: inputs have shape (28, 28), the network takes (N, 1, 8, 8)"
    )
    np.savez("two.npz", x=np.zeros((8, 8)), y=np.zeros(1))
    assert cli.error("predict", model, "two.npz") == "DataError: two.npz holds 2 arrays (x, y); save the images alone"
    assert cli.error("predict", model, ".") == "DataError: cannot read .: Is a directory"


def test_a_number_out_of_range(cli, model):
    for index in (355, -1):
        assert cli.error("predict", model, "--data", "digits", f"--index={index}") == (
            f"DataError: digits has no test image {index}; they run from 0 to 354"
        )


def test_wrong_usage(cli, model):
    for arguments in ((), ("x.npy", "--data", "digits", "--index", 1)):
        assert "give image files, or --data NAME with --index I" in cli("predict", model, *arguments, code=2).stderr
    for arguments in (("--data", "digits"), ("x.npy", "--index", 1)):
        assert "--data and --index go together" in cli("predict", model, *arguments, code=2).stderr
