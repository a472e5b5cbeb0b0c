"""``pellucid summary``: the layers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.cli.options import AsJson, BatchNorm, ModelOrName, zoo_settings
from pellucid.cli.output import results

if TYPE_CHECKING:
    from pellucid.network import Network


def summary(model: ModelOrName, batch_norm: BatchNorm = False, as_json: AsJson = False) -> None:
    """Show a network layer by layer: shapes, parameters, multiply-adds, memory."""
    with results(as_json) as output:
        network = load_or_build(model, batch_norm)
        shown = network.summary()
        output.show({"model": model, **shown.to_json()}, shown)


def load_or_build(model: str, batch_norm: bool) -> Network:
    """Return the network of a model file, or the zoo's of that name if there is no such file, to be looked at.

    Raises:
        ConfigError: neither a file nor a name of the zoo, or a setting that it does not have.
        ModelFileError: the file cannot be read.
    """
    from pathlib import Path

    from pellucid.errors import ConfigError
    from pellucid.network import Network
    from pellucid.zoo import ZOO, build

    named = model in ZOO and not Path(model).is_file()  # a folder may well be called like a network
    if Path(model).exists() and not named:
        if batch_norm:
            raise ConfigError(f"{model} is a model file, which has its layers already; leave out --batch-norm")
        return Network.load(model, engine="reference")
    if not named:
        raise ConfigError(f"{model!r} is neither a model file nor a network of the zoo: {', '.join(ZOO)}")
    return build(model, engine="reference", **zoo_settings(batch_norm))
