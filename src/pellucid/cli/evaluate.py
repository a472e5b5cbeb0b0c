"""``pellucid evaluate``: accuracy and confusion matrix of a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.datasets import Asked
from pellucid.cli.options import AsJson, DataDir, DataName, Engine, ModelFile, Resize, TestShare
from pellucid.cli.output import results
from pellucid.cli.tables import confusion_table

if TYPE_CHECKING:
    from pellucid.arrays import Array
    from pellucid.network import Network


def evaluate(
    model: ModelFile,
    data: DataName = "digits",
    data_dir: DataDir = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first images of the test set.")] = None,
    resize: Resize = "crop",
    test_share: TestShare = 0.2,
    engine: Engine = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure a trained model on a data set's test images."""
    with results(as_json) as output:
        from pellucid.network import Network

        network = Network.load(model, engine=engine)
        dataset = Asked(data, data_dir, resize, test_share).open_for(network)
        measured = measure(network, dataset.x_test[:limit], dataset.y_test[:limit])
        output.show(
            {"model": str(model), "data": dataset.name, **measured, "class_names": list(dataset.class_names)},
            headline(dataset.name, measured),
            confusion_table(measured["confusion_matrix"], dataset.class_names),
        )


def measure(network: Network, x: Array, y: Array) -> dict[str, Any]:
    """Return how well a classifier does on samples, as plain numbers and lists.

    Raises:
        ConfigError: the network has a single output, so it tells no classes apart.
        DataError, ShapeError: the samples do not fit it.
    """
    from pellucid.metrics import confusion_matrix

    classes = number_of_classes(network)
    _, target = network.check_set(x, y)
    outputs = network.forward(x)
    figures = network.loss.figures(outputs, target)
    return {
        "samples": len(y),
        "loss": figures["loss"],
        "accuracy": figures["accuracy"],
        "confusion_matrix": confusion_matrix(y, outputs.argmax(axis=1), classes).tolist(),
    }


def number_of_classes(network: Network) -> int:
    """Return how many classes a network tells apart.

    Raises:
        ConfigError: it has a single output, which stands for a value.
    """
    from pellucid.errors import ConfigError

    if network.output_shape[0] < 2:
        raise ConfigError("the model has a single output, so it tells no classes apart; use Network.predict in Python")
    return network.output_shape[0]


def headline(name: str, measured: dict[str, Any]) -> str:
    """Return the line above the confusion matrix."""
    accuracy, loss, samples = measured["accuracy"], measured["loss"], measured["samples"]
    return f"{name} test accuracy {accuracy:.4f}, loss {loss:.4f} ({samples} images)"
