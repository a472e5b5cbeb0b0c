"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]
BatchNorm: TypeAlias = Annotated[bool, typer.Option("--batch-norm", help="With batch normalization (grishin only).")]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Folder that holds the data files; else the environment variable PELLUCID_DATA_DIR."),
]
DataName: TypeAlias = Annotated[str, typer.Option(help="digits, mnist, fashion-mnist, usps or cifar10.")]
Engine: TypeAlias = Annotated[str, typer.Option(help="What computes: auto, reference or native.")]
ModelFile: TypeAlias = Annotated[Path, typer.Argument(help="Model file, as train writes it.", metavar="MODEL")]
ModelOrName: TypeAlias = Annotated[
    str, typer.Argument(help="Model file, or a network of the zoo: digits, grishin, lenet5, nguyen.", metavar="MODEL")
]


def zoo_settings(batch_norm: bool) -> dict[str, Any]:
    """Return what to build a network of the zoo with; what was not asked for is left out, for few networks have it."""
    return {"batch_norm": True} if batch_norm else {}
