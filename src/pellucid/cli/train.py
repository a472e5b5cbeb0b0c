"""``pellucid train``: train a network of the zoo and write a run folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.datasets import Asked
from pellucid.cli.evaluate import headline, measure
from pellucid.cli.options import (
    ZOO_NAMES,
    AsJson,
    BatchNorm,
    DataDir,
    DataName,
    Engine,
    Resize,
    TestShare,
    zoo_settings,
)
from pellucid.cli.output import ExitCode, Output, results
from pellucid.cli.recipes import RECIPES, Recipe
from pellucid.cli.tables import confusion_table
from pellucid.description import to_json

if TYPE_CHECKING:
    from pellucid.data import Dataset
    from pellucid.network import Network
    from pellucid.training import Checkpoints, History


def train(
    context: typer.Context,
    model: Annotated[str, typer.Option(help=f"Network of the zoo: {ZOO_NAMES}.")] = "digits",
    data: DataName = "digits",
    data_dir: DataDir = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Height and width to bring image files to.")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Make image files grey.")] = False,
    resize: Resize = "crop",
    test_share: TestShare = 0.2,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on so many images; all test images stay.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data; each model has its default.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images of one step; likewise.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, momentum, nesterov, adam, adamw, ...; likewise.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size; likewise.")] = None,
    l2: Annotated[float, typer.Option(help="Strength of an L2 penalty on the weights.")] = 0.0,
    validation_split: Annotated[float, typer.Option(help="Share of the images to hold out and validate with.")] = 0.0,
    padding: Annotated[int, typer.Option(min=0, help="Move images by up to so many pixels while training.")] = 0,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror half of the images, left to right.")] = False,
    cutout: Annotated[int, typer.Option(min=0, help="Blank a square of this side in every image.")] = 0,
    batch_norm: BatchNorm = False,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    engine: Engine = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Fixes weights, order of images and dropout.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(help="File with settings, or the folder of a run to repeat; options given here come first."),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to write to, replacing an earlier run.", show_default="runs/MODEL-DATA-TIME"),
    ] = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(help="Save the training so often, to checkpoints/ in its folder.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the training of this run folder, with the settings it had, from its checkpoints."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a network, test it, and write settings, model, history, curves and result to a folder."""
    given: dict[str, Any] = dict(locals())  # each is a setting of the run, unless cli/config.py says it is none
    if resume is not None and (config is not None or run_dir is not None):
        raise typer.BadParameter(
            "--resume goes on in its own folder with its settings; leave --config and --run-dir out"
        )
    source = config or resume
    if source is not None and context.obj is None:
        with results(as_json):
            from pellucid.cli.config import overlay

            if resume is not None:
                _require_checkpoints(resume)
            given = overlay(context, given, train, source)
        context.obj = source  # it is read, once
        train(**given)
        return
    recipe = RECIPES.get(model, Recipe())
    fitting: dict[str, Any] = {
        "epochs": epochs or recipe.epochs,
        "batch_size": batch_size or recipe.batch_size,
        "validation_split": validation_split,
    }
    asked = Asked(data, data_dir, resize, test_share, image_size, grey)
    building: dict[str, Any] = {"seed": seed, "dtype": dtype, "engine": engine, **zoo_settings(batch_norm)}
    with results(as_json) as output:
        chosen = recipe.choose(optimizer, learning_rate)
        from pellucid.augmentation import Augmentation
        from pellucid.cli.config import resolved
        from pellucid.training.run_folder import RunFolder

        if padding or flip or cutout:
            fitting["augment"] = Augmentation(padding, flip, cutout)
        dataset = asked.open()
        dataset = dataset if limit is None else dataset.take(limit)
        network = _build(model, dataset, l2, building)
        described = to_json(chosen, defaults=True)
        settled = {
            **fitting,
            "data": asked.found_by,
            "optimizer": described,
            "learning_rate": None,
            "engine": network.engine,
        }
        settings = resolved(given, train, settled)
        with RunFolder.create(resume or run_dir or _free_folder(model, dataset.name)) as folder:
            files = [folder.write_config(settings, "pellucid train --config")]
            checkpoints = _checkpoints(folder.path, checkpoint_seconds, resume is not None)
            started = perf_counter()
            history = _fit(network, dataset, output, {**fitting, "optimizer": chosen, "checkpoints": checkpoints})
            seconds = perf_counter() - started
            files += folder.write_training(network, history)
            told = {"model": model, "data": data, "run_dir": str(folder.path), "settings": settings, "seconds": seconds}
            result = told | _outcome(network, dataset, history)
            files.append(folder.write_result(result))
        if len(history) and "curves.png" not in files:
            output.note('no curves.png, for matplotlib is not installed: pip install "pellucid[plot]"')
        _show(output, result, files)
        if result["interrupted"]:
            raise typer.Exit(ExitCode.INTERRUPTED)


def _build(name: str, dataset: Dataset, l2: float, settings: dict[str, Any]) -> Network:
    """Return the zoo's network for the images and classes of a data set."""
    from pellucid.regularizers import L2
    from pellucid.zoo import build

    network = build(name, input_shape=dataset.input_shape, classes=dataset.classes, **settings)
    if l2:
        network.regularization = (L2(l2),)
    return network


def _fit(network: Network, dataset: Dataset, output: Output, settings: dict[str, Any]) -> History:
    """Train, with a bar on a terminal; elsewhere with lines, or silently if standard output is for JSON."""
    from pellucid.training.progress import reporter

    verbose = int(output.notes.is_terminal or not output.as_json)
    listener = reporter(verbose, output.notes)
    if dataset.x_validation is not None and not settings["validation_split"]:
        settings["validation_data"] = (dataset.x_validation, dataset.y_validation)
    return network.fit(dataset.x_train, dataset.y_train, callbacks=[listener], verbose=0, **settings)


def _outcome(network: Network, dataset: Dataset, history: History) -> dict[str, Any]:
    """Return what a training came to, where it ran, and how the network does on the test images."""
    from pellucid.training.run_folder import checksum, machine_facts, versions

    interrupted = history.stopped == "interrupted"
    return {
        "versions": versions(),
        "machine": machine_facts(network),
        "parameters": sum(value.size for value in network.parameters.values()),
        "weights": checksum(network),
        "training_samples": len(dataset.x_train),
        "epochs": len(history),
        "interrupted": interrupted,
        "training": history.rows[-1] if history.rows else None,
        "test": None if interrupted else measure(network, dataset.x_test, dataset.y_test),
        "class_names": list(dataset.class_names),
    }


def _checkpoints(folder: Path, seconds: float | None, resume: bool) -> Checkpoints | None:
    """Return what to save, and to go on from; None if neither is wanted."""
    from pellucid.training import Checkpoints

    if seconds is None and not resume:
        return None
    return Checkpoints(folder / "checkpoints", every_seconds=seconds, resume=resume)


def _require_checkpoints(folder: Path) -> None:
    from pellucid.errors import ConfigError
    from pellucid.training.recorded_runs import require_run

    require_run(folder)
    if not (folder / "checkpoints").is_dir():
        raise ConfigError(f"{folder} holds no checkpoints to go on from; train writes them with --checkpoint-seconds")


def _free_folder(model: str, data: str) -> Path:
    """Return ``runs/MODEL-DATA-TIME``, with a number behind it if there is one already."""
    name = f"{model}-{data}-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = Path("runs", name), 2
    while folder.exists():
        folder, number = Path("runs", f"{name}-{number}"), number + 1
    return folder


def _show(output: Output, result: dict[str, Any], files: list[str]) -> None:
    written = f"wrote {', '.join(files)} to {result['run_dir']}"
    tested = result["test"]
    if tested is None:
        output.show(result, f"interrupted after {result['epochs']} epochs", written)
    else:
        table = confusion_table(tested["confusion_matrix"], result["class_names"])
        output.show(result, headline(result["data"], tested), table, written)
