"""Data of one's own on the command line: folders of pictures, arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pellucid import Network
from pellucid.data import ImageFolder, load_path

Image = pytest.importorskip("PIL.Image", reason="image files are read with Pillow")
SHARED = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Pictures of three colours, of many sizes."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for name, colour in (("blau", (20, 20, 200)), ("grün", (20, 200, 20)), ("rot", (200, 20, 20))):
        (folder / name).mkdir()
        for number in range(12):
            noise = rng.integers(-20, 20, (*rng.integers(10, 30, 2), 3))
            Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(cli, pictures, tmp_path_factory):
    """What training on them printed."""
    arguments = ("--data", pictures, "--image-size", 8, "--test-share", 0.25, "--epochs", 8)
    return cli.json(
        "train", *arguments, "--flip", "--padding", 1, "--cutout", 2, "--run-dir", tmp_path_factory.mktemp("r")
    )


def test_a_folder_trains_by_one_command(trained, pictures):
    assert trained["data"] == str(pictures)
    assert trained["class_names"] == ["blau", "grün", "rot"]
    assert (trained["training_samples"], trained["test"]["samples"]) == (27, 9)
    assert trained["test"]["accuracy"] == 1
    settings = trained["settings"]
    assert (settings["padding"], settings["flip"], settings["cutout"]) == (1, True, 2)
    assert [settings[name] for name in ("image_size", "grey", "resize", "test_share")] == [8, False, "crop", 0.25]


def test_the_figures_are_those_of_the_same_split_again(cli, trained, pictures):
    model = Path(trained["run_dir"]) / "model.safetensors"
    data = ImageFolder.open(pictures, image_size=8, test_share=0.25).load()
    net = Network.load(model)
    assert net.input_shape == (3, 8, 8)
    p = net.predict(data.x_test)
    loss = -np.log(p[np.arange(len(p)), data.y_test]).mean()
    assert trained["test"]["loss"] == pytest.approx(loss, rel=1e-5)
    # The model tells the size; no option has to.
    told = cli.json("evaluate", model, "--data", pictures, "--test-share", 0.25)
    assert told["loss"] == pytest.approx(loss, rel=1e-5)
    assert told["data"] == pictures.name
    (row,) = cli.json("predict", model, "--data", pictures, "--test-share", 0.25, "--index", 4)["predictions"]
    np.testing.assert_allclose(row["probabilities"], p[4], rtol=1e-5)


def test_a_picture_is_told_by_its_name(cli, trained, pictures):
    model = Path(trained["run_dir"]) / "model.safetensors"
    (row,) = cli.json("predict", model, pictures / "rot" / "3.png")["predictions"]
    assert (row["class"], row["class_name"], row["image"]) == (2, "rot", str(pictures / "rot" / "3.png"))
    assert "2 rot" in cli("predict", model, pictures / "rot" / "3.png", "--resize", "stretch").stdout


def test_grey_pictures_and_folders_for_validation(cli, pictures, tmp_path):
    for part, numbers in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 12))):
        for name in ("blau", "rot"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in numbers:
                (tmp_path / part / name / f"{number}.png").symlink_to(pictures / name / f"{number}.png")
    told = cli.json(
        "train", "--data", tmp_path, "--image-size", 8, "--grey", "--epochs", 1, "--run-dir", tmp_path / "run"
    )
    assert (told["training_samples"], told["test"]["samples"]) == (12, 6)
    net, data = Network.load(tmp_path / "run/model.safetensors"), load_path(tmp_path / ".", image_size=8, grey=True)
    assert net.input_shape == (1, 8, 8)
    assert told["training"]["val_loss"] == pytest.approx(net.evaluate(data.x_validation, data.y_validation)["loss"])


def test_arrays(cli, tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez(tmp_path / "d.npz", x=(rng.random((60, 8, 8)) + y[:, None, None]).astype(np.float32), y=y)
    told = cli.json("train", "--data", tmp_path / "d.npz", "--epochs", 20, "--run-dir", tmp_path / "run")
    assert told["test"]["accuracy"] == 1
    assert told["test"]["samples"] == 12
    model = tmp_path / "run/model.safetensors"
    assert cli.json("evaluate", model, "--data", tmp_path / "d.npz")["loss"] == told["test"]["loss"]


def test_errors(cli, trained, pictures, tmp_path):
    run = ("--run-dir", tmp_path / "run", "--epochs", 1)
    assert cli.error("train", "--data", tmp_path / "no", *run) == (
        f"DataError: {tmp_path}/no: there is no such file or folder"
    )
    assert cli.error("train", "--data", "digits", "--grey", *run) == (
        "ConfigError: the images of digits stay as they are; leave --image-size and --grey out"
    )
    assert "others are" in cli.error("train", "--data", pictures, *run)
    assert cli.error("train", "--data", pictures, "--resize", "bend", *run) == (
        "ConfigError: resize must be one of crop, stretch, pad, got 'bend'"
    )
    assert cli.error("train", "--data", pictures, "--image-size", 8, "--cutout", 9, *run).startswith(
        "ConfigError: Augmentation(cutout=9) could blank images of 8×8 pixels"
    )
    assert not (tmp_path / "run").exists()
    for name in ("blau", "rot"):
        (tmp_path / name).symlink_to(pictures / name)
    model = Path(trained["run_dir"]) / "model.safetensors"
    assert cli.error("evaluate", model, "--data", tmp_path) == (
        f"DataError: {tmp_path} has 2 classes, the model tells 3 apart; take data with the classes that it was trained "
        "on"
    )


@pytest.mark.slow  # some 20 s
def test_the_real_folder_of_rubbish(cli, tmp_path):
    if not (SHARED / "trashnet-150").is_dir():
        pytest.skip("needs the shared data folder beside the project")
    told = cli.json(
        *(
            "train",
            "--data",
            SHARED / "trashnet-150",
            "--image-size",
            32,
            "--model",
            "lenet5",
            "--flip",
            "--padding",
            2,
        ),
        *("--epochs", 6, "--run-dir", tmp_path),
    )
    assert (told["training_samples"], told["test"]["samples"]) == (2022, 505)
    assert told["test"]["accuracy"] > 0.4  # the largest class alone is 0.236
