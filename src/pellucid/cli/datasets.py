"""The data sets that commands are given, by name or by path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pellucid.data import Dataset
    from pellucid.network import Network


@dataclass(frozen=True)
class Asked:
    """What the command line says about data.

    Attributes:
        data: a name, or else the path of a file or folder.
        data_dir: where named data lies.
        resize, test_share, image_size, grey: for data of one's own, see :meth:`ImageFolder.open
            <pellucid.data.ImageFolder.open>`.
    """

    data: str
    data_dir: Path | None
    resize: Any
    test_share: float
    image_size: int | tuple[int, int] | None = None
    grey: bool = False

    @property
    def found_by(self) -> str:
        """What finds the data from any folder: its name, or its whole path."""
        return self.data if self._is_named() else str(Path(self.data).resolve())

    def open(self) -> Dataset:
        """Return the data.

        Raises:
            ConfigError: no such name; a size asked for where it cannot be had.
            DataError: the data cannot be used.
            MissingExtraError: a package that reads it is not installed.
        """
        from pellucid.data import load_dataset, load_path

        if not self._is_named():
            return load_path(self.data, **self._pictures())
        if self.image_size is not None or self.grey:
            raise ConfigError(f"the images of {self.data} stay as they are; leave --image-size and --grey out")
        return load_dataset(self.data, self.data_dir)

    def open_for(self, network: Network) -> Dataset:
        """Return the data in the shape that a network takes.

        Raises:
            ConfigError, DataError, MissingExtraError: as :meth:`open`; or the network tells other classes apart.
        """
        if self._is_named() or len(network.input_shape) != 3:
            return self.open()
        channels, height, width = network.input_shape
        dataset = replace(self, image_size=(height, width), grey=channels == 1).open()
        if dataset.classes != network.output_shape[0]:
            raise DataError(
                f"{self.data} has {dataset.classes} classes, the model tells {network.output_shape[0]} apart; take "
                "data with the classes that it was trained on"
            )
        return dataset

    def _is_named(self) -> bool:
        from pellucid.data.catalogue import NAMES

        path = Path(self.data)
        return self.data in NAMES or not (path.exists() or path.suffix or len(path.parts) > 1)

    def _pictures(self) -> dict[str, Any]:
        return {
            "image_size": self.image_size,
            "grey": self.grey,
            "resize": self.resize,
            "test_share": self.test_share,
        }
