import ctypes

import numpy as np
import pytest
from c_programs import compile_c, needs_compiler

from pellucid import Network
from pellucid.layers import Linear


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 1, 8, 8)).astype(np.float32)


@needs_compiler
def test_c(cli, model, tmp_path, images):
    source, library = tmp_path / "digits-7.c", tmp_path / "digits.so"
    told = cli.json("export", model, "--to", "c", "--output", source)
    assert told == {"model": str(model), "format": "c", "output": str(source), "bytes": source.stat().st_size}
    assert (
        cli("export", model, "--to", "c", "--output", source).stdout == f"{source}: {source.stat().st_size:,} bytes\n"
    )
    compile_c("-fPIC", "-shared", source, "-o", library, "-lm")
    outputs = np.zeros((3, 10), np.float32)
    for image, output in zip(images, outputs, strict=True):
        ctypes.CDLL(str(library)).digits_7_predict(
            image.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(output.ctypes.data)
        )
    np.testing.assert_allclose(outputs, Network.load(model).predict(images), atol=1e-6)


def test_onnx(cli, model, tmp_path, images):
    pytest.importorskip("pellucid.interop.onnx", reason="there is no ONNX export")
    runtime = pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    target = tmp_path / "digits.onnx"
    told = cli.json("export", model, "--to", "onnx", "--output", target)
    assert told == {"model": str(model), "format": "onnx", "output": str(target), "bytes": target.stat().st_size}
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(outputs, Network.load(model).predict(images), atol=1e-5)


def test_large_networks_as_c(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("pellucid.interop.c_source.page.LIMIT", 50)
    Network([Linear(4)], (4,), engine="reference").save(tmp_path / "m.safetensors")
    arguments = ("export", tmp_path / "m.safetensors", "--to", "c", "--output", tmp_path / "m.c")
    assert cli.error(*arguments).startswith("ExportError: the network has 0.0 MB of weights; the C form is for small")
    assert not (tmp_path / "m.c").exists()
    cli(*arguments, "--force")
    assert "m_predict" in (tmp_path / "m.c").read_text()


def test_files_that_cannot_be_used(cli, model, tmp_path):
    told = cli.error("export", tmp_path / "no.safetensors", "--to", "c", "--output", tmp_path / "m.c")
    assert told == f"ModelFileError: {tmp_path}/no.safetensors: there is no such file"
    told = cli.error("export", model, "--to", "c", "--output", tmp_path / "no" / "m.c")
    assert told.startswith(f"FileWriteError: cannot write {tmp_path}/no/m.c: there is no folder {tmp_path}/no")


def test_wrong_usage(cli, model):
    assert (
        "'tflite' is not one of 'onnx', 'c'" in cli("export", model, "--to", "tflite", "--output", "m", code=2).stderr
    )
    assert "Missing option '--output'" in cli("export", model, "--to", "c", code=2).stderr
    assert "Missing option '--to'" in cli("export", model, "--output", "m.c", code=2).stderr
    told = cli("export", model, "--to", "onnx", "--output", "m", "--force", code=2).stderr
    assert "--force lifts the limit of --to c; leave it out" in told
