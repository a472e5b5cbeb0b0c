"""``pellucid explore``: a network, forward and backward, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli.beside import class_names, trained_on
from pellucid.cli.datasets import Asked
from pellucid.cli.options import ZOO_NAMES, BatchNorm, DataDir, Engine, Resize, TestShare, zoo_settings
from pellucid.cli.output import results

if TYPE_CHECKING:
    from pellucid.data import Dataset
    from pellucid.network import Network

#: data sets to show a network with that has no data of its own; what fits and is on this machine
_AT_HAND = ("digits", "mnist", "usps", "cifar10")


def explore(
    model: Annotated[
        str, typer.Argument(help=f"Model file, or a network of the zoo: {ZOO_NAMES}.", metavar="[MODEL]")
    ] = "digits",
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set, or path, to take samples from and to train on.",
            show_default="the one the model was trained on, or one on this machine that fits",
        ),
    ] = None,
    data_dir: DataDir = None,
    resize: Resize = "crop",
    test_share: TestShare = 0.2,
    batch_norm: BatchNorm = False,
    engine: Engine = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write one HTML file with the same views of one sample instead of serving them."),
    ] = None,
    index: Annotated[int, typer.Option(min=0, help="Which test image to show first, from 0.")] = 0,
) -> None:
    """Watch a network think forward and learn backward, in the browser."""
    with results(as_json=False) as output:
        from pellucid.errors import DataError, MissingExtraError
        from pellucid.explain.explorer import Session, Subject

        network = _network(model, batch_norm, engine)
        try:
            dataset = _data(data or trained_on(Path(model)), network, data_dir, resize, test_share)
        except (DataError, MissingExtraError) as error:
            if data is not None:
                raise
            output.note(f"the data that {model} was trained on cannot be had: {error}")
            dataset = _data(None, network, data_dir, resize, test_share)
        if dataset is None:
            way = "--data gives one" if len(network.input_shape) == 3 else "--data takes images only"
            output.note(f"no data set at hand fits inputs of shape {network.input_shape}; {way}")
        names = class_names(Path(model), network.output_shape[0]) if dataset is None and Path(model).is_file() else ()
        subject = Subject(Path(model).stem, network, dataset, names, index)
        if export is None:
            from pellucid.explain.explorer.serve import serve

            def tell(address: str) -> None:
                output.show({}, f"{address}  (Ctrl-C ends)")

            serve(subject, port, browse=not no_browser, tell=tell)
            return
        from pellucid.explain.explorer.handout import PAGE, make_handout
        from pellucid.interop.atomic import write_atomically

        written = make_handout(subject, Session(subject), PAGE)
        write_atomically(export, written)
        output.show({}, f"{export}: {len(written):,} bytes")


def _network(model: str, batch_norm: bool, engine: str) -> Network:
    """Return the network of a file or of the zoo, ready to be trained.

    Raises:
        ConfigError, ModelFileError: as :func:`pellucid.cli.summary.load_or_build`.
    """
    from pellucid.cli.summary import load_or_build
    from pellucid.network import Network
    from pellucid.zoo import ZOO, build

    if model in ZOO and not Path(model).is_file():
        return build(model, engine=engine, **zoo_settings(batch_norm))
    if Path(model).exists() and not batch_norm:
        return Network.load(model, engine=engine)
    return load_or_build(model, batch_norm)  # which says what is wrong


def _data(name: str | None, network: Network, data_dir: Path | None, resize: str, test_share: float) -> Dataset | None:
    """Return the data set asked for, in the network's shape; without a name one that fits, or None."""
    if name is not None:
        return Asked(name, data_dir, resize, test_share).open_for(network)
    from pellucid.data import load_dataset
    from pellucid.errors import DataError, MissingExtraError

    for known in _AT_HAND:
        try:
            dataset = load_dataset(known, data_dir, download=False)
        except (DataError, MissingExtraError):  # it is not on this machine
            continue
        if dataset.input_shape == network.input_shape and (dataset.classes,) == network.output_shape:
            return dataset
    return None
