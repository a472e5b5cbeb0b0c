"""``pellucid predict``: classes and probabilities of single images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.beside import class_names
from pellucid.cli.datasets import Asked
from pellucid.cli.evaluate import number_of_classes
from pellucid.cli.options import AsJson, DataDir, Engine, ModelFile, Resize, TestShare
from pellucid.cli.output import results

if TYPE_CHECKING:
    from rich.table import Table

    from pellucid.arrays import Array
    from pellucid.network import Network


def predict(
    model: ModelFile,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Pictures; or arrays of one image or of several: .npy, .npz or IDX files.", metavar="IMAGE"
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Take test images of this data set instead of files.")] = None,
    index: Annotated[
        list[int] | None, typer.Option(help="Which test image of --data, from 0; may be repeated.")
    ] = None,
    data_dir: DataDir = None,
    resize: Resize = "crop",
    test_share: TestShare = 0.2,
    engine: Engine = "auto",
    as_json: AsJson = False,
) -> None:
    """Say which class images belong to, and how probable each class is."""
    if bool(images) == (data is not None):
        raise typer.BadParameter("give image files, or --data NAME with --index I")
    if (data is not None) != bool(index):
        raise typer.BadParameter("--data and --index go together")
    with results(as_json) as output:
        from pellucid.network import Network

        network = Network.load(model, engine=engine)
        classes = number_of_classes(network)
        names = class_names(model, classes)
        told: list[dict[str, Any]] = []
        if data is not None:
            chosen, labels, names = _test_images(Asked(data, data_dir, resize, test_share), network, index or [])
            sources = [
                {"image": f"{data}[{i}]", "label": int(label)} for i, label in zip(index or [], labels, strict=True)
            ]
            told += _tell(network.predict(chosen), sources, names)
        for path in images or []:
            from pellucid.cli.images import read_images

            batch = read_images(path, network.input_shape, resize)
            sources = [{"image": str(path) if len(batch) == 1 else f"{path}[{i}]"} for i in range(len(batch))]
            told += _tell(network.predict(batch), sources, names)
        output.show({"model": str(model), "predictions": told}, _table(told))


def _test_images(asked: Asked, network: Network, index: list[int]) -> tuple[Array, Array, tuple[str, ...]]:
    """Return the test images of those numbers, their labels, and the names of the classes."""
    from pellucid.errors import DataError

    dataset = asked.open_for(network)
    for i in index:
        if not 0 <= i < len(dataset.x_test):
            raise DataError(f"{asked.data} has no test image {i}; they run from 0 to {len(dataset.x_test) - 1}")
    return dataset.x_test[index], dataset.y_test[index], dataset.class_names


def _tell(probabilities: Array, sources: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a plain dict for every image: where it is from, its class, and all probabilities."""
    told: list[dict[str, Any]] = []
    for source, row in zip(sources, probabilities, strict=True):
        best = int(row.argmax())
        name = names[best] if best < len(names) else str(best)
        told.append({**source, "class": best, "class_name": name, "probabilities": row.tolist()})
    return told


def _table(told: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("image", "class", "most probable")
    for row in told:
        probabilities: list[float] = row["probabilities"]
        best = sorted(range(len(probabilities)), key=lambda k: -probabilities[k])[:3]
        shown = str(row["class"]) if row["class_name"] == str(row["class"]) else f"{row['class']} {row['class_name']}"
        table.add_row(row["image"], shown, ", ".join(f"{k}: {probabilities[k]:.4f}" for k in best))
    return table
