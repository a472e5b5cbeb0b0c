"""Train a residual network on CIFAR-10, from its publisher's ``cifar-10-binary.tar.gz``::

    python examples/cifar10.py --data-dir DIR --out runs/cifar10

The recipe: stochastic gradient descent with Nesterov's momentum of 0.9 in batches of 128; one cycle of the rate, up to
0.2 and down to almost nothing; an L2 penalty of 5·10⁻⁴ on the weights of convolutions and linear layers, which leaves
biases and batch norm alone; crops that move the image by up to four pixels, half of them mirrored; colours centred on
their means. It came to 91.5 % of the test images, see docs/cifar10.md; He et al. 2016, Table 6, got 91.25 %.

``history.csv`` grows by a line after every epoch, so that a training can be watched; model, curves and result come at
the end.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from pellucid import Network, zoo
from pellucid.augmentation import Augmentation
from pellucid.data import Dataset, load_dataset
from pellucid.optimizers import SGD
from pellucid.regularizers import L2
from pellucid.schedules import OneCycle
from pellucid.training import CSVLogger
from pellucid.training.run_folder import RunFolder, versions

AUGMENT = Augmentation(padding=4, flip=True)


def learn(
    network: Network,
    data: Dataset,
    folder: RunFolder,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    verbose: int = 1,
) -> dict[str, float]:
    """Train a network by the recipe, save it, and return what it came to.

    Args:
        network: with ``input_mean="channel"``, or none.
        data: is tested after every epoch, for the curve alone: nothing is chosen by it.
        folder: gets ``history.csv``, ``curves.png``, ``model.safetensors`` and ``result.json``.
        epochs: passes over the data.
        batch_size: images of one step.
        learning_rate: at its highest.
        weight_decay: λ of the penalty ½λΣθ², whose gradient is λθ.
        verbose: as for ``fit``.
    """
    network.regularization = (L2(weight_decay),)
    started = perf_counter()
    history = network.fit(
        data.x_train,
        data.y_train,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=SGD(OneCycle(learning_rate), momentum=0.9, nesterov=True),
        augment=AUGMENT,
        validation_data=(data.x_test, data.y_test),
        callbacks=[CSVLogger(folder.path / "history.csv")],
        verbose=verbose,
    )
    seconds = perf_counter() - started
    folder.write_training(network, history)
    result = {"epochs": len(history), "seconds": seconds, **network.evaluate(data.x_test, data.y_test)}
    folder.write_result({**result, "stopped": history.stopped, "engine": network.engine, "versions": versions()})
    return result


def main(
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the archive; else PELLUCID_DATA_DIR.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to, replacing an earlier run.")] = Path("runs/cifar10"),
    depth: Annotated[int, typer.Option(help="Layers with weights: 20, 32, 44, 56 or 110.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data.")] = 50,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of one step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="The rate at its highest.")] = 0.2,
    weight_decay: Annotated[float, typer.Option(help="Strength of the L2 penalty on weights.")] = 5e-4,
    seed: Annotated[int, typer.Option(min=0, help="Fixes weights, order of images and crops.")] = 0,
    n_jobs: Annotated[int | None, typer.Option(help="Threads; -1 for every processor.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on so many images; all test images stay.")] = None,
) -> None:
    """Train ResNet-20 on CIFAR-10, and write model, history, curves and result to a folder."""
    data = load_dataset("cifar10", data_dir)
    data = data if limit is None else data.take(limit)
    network = zoo.resnet_cifar(depth, seed=seed, input_shape=data.input_shape, classes=data.classes)
    network.input_mean_from = "channel"
    network.n_jobs = n_jobs
    with RunFolder.create(out) as folder:
        result = learn(
            network,
            data,
            folder,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
        )
    print(f"test accuracy {result['accuracy']:.2%} after {result['epochs']} epochs in {result['seconds']:.0f} s: {out}")


if __name__ == "__main__":
    typer.run(main)
