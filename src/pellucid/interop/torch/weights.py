"""Weights under PyTorch's names: torchvision's, or any state dict of a network with the same layers.

Parameters are called the same on both sides, ``"layer1.0.conv1.weight"``, as long as the layers are; a batch norm's
count of batches is ``num_batches``, shape (1,), here and ``num_batches_tracked``, shape (), there. PyTorch itself is
not needed: a state dict comes as a mapping of arrays (its tensors are fine), or as a .safetensors file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.errors import DataError, ModelFileError, ShapeError
from pellucid.interop import model_file
from pellucid.interop.atomic import write_atomically

if TYPE_CHECKING:
    from pellucid.network import Network
    from pellucid.tensor_table import TensorTable

_OWN_COUNT, _TORCH_COUNT = ".num_batches", ".num_batches_tracked"
_SHOWN = 3


def state_dict(network: Network) -> Tensors:
    """Return copies of all parameters and running statistics, under PyTorch's names.

    ``model.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict(net).items()})`` takes them;
    :func:`save_state_dict` writes them to a file.
    """
    own = {_torch_name(name): value for name, value in (*network.parameters.items(), *network.state.items())}
    return {
        name: value.astype(np.int64).reshape(()) if name.endswith(_TORCH_COUNT) else value.copy()
        for name, value in own.items()
    }


def save_state_dict(network: Network, path: str | Path) -> None:
    """Write all parameters and running statistics, under PyTorch's names, to a .safetensors file, whole or not at all.

    ``model.load_state_dict(safetensors.torch.load_file(path))`` reads them, and so does :func:`load_state_dict`.

    Raises:
        FileWriteError: the file cannot be written; one that was there stays as it was.
    """
    import safetensors.numpy

    write_atomically(Path(path), safetensors.numpy.save(state_dict(network), {"format": "pt"}))


def load_state_dict(network: Network, source: str | Path | Mapping[str, Any]) -> None:
    """Copy weights with PyTorch's names into a network: all of them, or none if anything is wrong.

    torchvision's weights expect images scaled to 0…1, from which the means (0.485, 0.456, 0.406) of red, green and blue
    are subtracted, and which are then divided by (0.229, 0.224, 0.225); give them to the network as floats.

    Args:
        network: its layers must be the other network's, as those of :mod:`pellucid.zoo` are torchvision's.
        source: path of a .safetensors file, or a mapping of name to array or tensor, such as ``model.state_dict()``.
            Counts of batches may be left out, as old files do; the network keeps its own.

    Raises:
        ModelFileError: the file cannot be read or is not safetensors; names are missing or unknown.
        ShapeError: an array has not the shape of the network's.
        DataError: the values are not real and finite.
    """
    if isinstance(source, (str, Path)):
        where, given = str(source), _read(Path(source))
    else:
        where, given = "the state dict", dict(source)
    own = {_torch_name(name): (table, name) for table in (network.parameters, network.state) for name in table}
    _require_names(where, own, given)
    arrays = {name: _array(name, value) for name, value in given.items()}
    _require_shapes(where, {name: table[key] for name, (table, key) in own.items()}, arrays)
    taken: list[tuple[TensorTable, str, Array]] = []
    for name, array in arrays.items():
        table, key = own[name]
        taken.append((table, key, table.check(key, array.reshape(table[key].shape))))
    for table, key, array in taken:
        table[key] = array


def _require_names(where: str, own: Collection[str], given: Collection[str]) -> None:
    lacking = [name for name in own if name not in given and not name.endswith(_TORCH_COUNT)]
    unknown = [name for name in given if name not in own]
    told = [f"{what} {_listed(names)}" for what, names in (("lacks", lacking), ("has unknown", unknown)) if names]
    if told:
        raise ModelFileError(
            f"{where} {' and '.join(told)}: its names are not those of the network's layers; build the network in the "
            "form that the weights come from, or rename or leave out entries of the mapping"
        )


def _require_shapes(where: str, own: Tensors, given: Tensors) -> None:
    shapes = {name: () if name.endswith(_TORCH_COUNT) else value.shape for name, value in own.items()}
    wrong = [
        f"{name} is {list(array.shape)}, the network's {list(shapes[name])}"
        for name, array in given.items()
        if array.shape != shapes[name]
    ]
    if wrong:
        raise ShapeError(f"{where} does not fit: {_listed(wrong, '; ')}")


def _torch_name(name: str) -> str:
    return name.removesuffix(_OWN_COUNT) + _TORCH_COUNT if name.endswith(_OWN_COUNT) else name


def _read(path: Path) -> Tensors:
    if path.suffix in (".pth", ".pt", ".bin", ".ckpt", ".pkl"):
        raise ModelFileError(
            f"{path} looks like a pickle, which can run any code when it is read, so Pellucid reads none. Convert it "
            "where PyTorch is installed:\n"
            "  import torch; from safetensors.torch import save_file\n"
            f'  save_file(torch.load("{path}", weights_only=True), "{path.with_suffix(".safetensors")}")'
        )
    return model_file.read_tensors(path)


def _array(name: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:  # how PyTorch refuses a tensor that is not plain
        raise DataError(f"{name!r} cannot be made into an array: {error}") from error


def _listed(entries: Collection[str], separator: str = ", ") -> str:
    """Return the first few, and how many more there are."""
    more = len(entries) - _SHOWN
    return separator.join(list(entries)[:_SHOWN]) + (f"{separator}and {more} more" if more > 0 else "")
