"""What a model file holds of a network: plain JSON types, and arrays by name; and the network from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pellucid.arrays import Tensors
from pellucid.description import from_json, to_json
from pellucid.engine.threads import check_n_jobs
from pellucid.errors import ModelFileError, PellucidError
from pellucid.graph import INPUT, Graph
from pellucid.interop import model_file
from pellucid.losses import Loss
from pellucid.regularizers import Penalty

if TYPE_CHECKING:
    from pellucid.network import Network

    AnyNetwork = TypeVar("AnyNetwork", bound=Network)

#: version of the description stored in model files
FORMAT = 1

_MEAN = INPUT + ".mean"


def describe(network: Network) -> dict[str, Any]:
    """Return everything but the numbers, as plain JSON types."""
    return {
        "format": FORMAT,
        "network": network.graph.to_json(),
        "loss": to_json(network.loss),
        "regularization": to_json(network.regularization),
        "seed": network.seed,
        "step": network.step,
        "dtype": network.dtype.name,
        "input_mean": network.input_mean_from,
    }


def tensors(network: Network) -> Tensors:
    """Return every array of a network: parameters, running statistics, the input mean."""
    own = {**network.parameters, **network.state}
    return own if network.input_mean is None else {**own, _MEAN: network.input_mean}


def rebuild(
    cls: type[AnyNetwork], description: dict[str, Any], arrays: Tensors, engine: str, n_jobs: int | None
) -> AnyNetwork:
    """Return the network of a description, with copies of the arrays.

    Raises:
        ModelFileError: an unknown format; missing, extra or misshapen arrays.
    """
    if description.get("format") != FORMAT:
        raise ModelFileError(f"format {description.get('format')!r} is not known; this version reads {FORMAT}")
    arrays = dict(arrays)
    network = cls(
        Graph.from_json(description["network"]),
        loss=from_json(description["loss"], Loss),
        regularization=[from_json(entry, Penalty) for entry in description["regularization"]],
        seed=int(description["seed"]),
        dtype=str(description["dtype"]),
        engine=engine,
        n_jobs=n_jobs,
        input_mean=arrays.pop(_MEAN, description["input_mean"]),
    )
    network.step = int(description["step"])
    model_file.fill({**network.parameters, **network.state}, arrays)
    return network


def save(network: Network, path: Path) -> None:
    """Write a model file; see :meth:`Network.save`."""
    model_file.write(path, describe(network), tensors(network))


def load(cls: type[AnyNetwork], path: Path, engine: str, n_jobs: int | None) -> AnyNetwork:
    """Read a model file; see :meth:`Network.load`."""
    check_n_jobs(n_jobs)
    return _rebuild_from(path, cls, *model_file.read(path), engine, n_jobs)


def to_bytes(network: Network) -> bytes:
    """Return the bytes of a network's model file."""
    return model_file.to_bytes(describe(network), tensors(network))


def from_bytes(cls: type[AnyNetwork], data: bytes, engine: str, n_jobs: int | None) -> AnyNetwork:
    """Return the network of a model file's bytes; what a pickled network calls.

    Raises:
        ModelFileError: as :meth:`Network.load`.
    """
    where = "a pickled network"
    return _rebuild_from(where, cls, *model_file.from_bytes(data, where), engine, n_jobs)


def _rebuild_from(
    path: Path | str,
    cls: type[AnyNetwork],
    description: dict[str, Any],
    arrays: Tensors,
    engine: str,
    n_jobs: int | None,
) -> AnyNetwork:
    try:
        return rebuild(cls, description, arrays, engine, n_jobs)
    except (PellucidError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = error if isinstance(error, PellucidError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{path}: {reason}") from error
