"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

# Written out, for importing the zoo takes longer than showing a help text should.
ZOO_NAMES = (
    "digits, grishin, lenet5, nguyen, alexnet, vgg11, vgg13, vgg16, vgg19, googlenet, resnet18, resnet34, resnet50, "
    "resnet101, resnet152, resnet20_cifar, resnet32_cifar, resnet44_cifar, resnet56_cifar, resnet110_cifar, "
    "vgg11_cifar, vgg13_cifar, vgg16_cifar, vgg19_cifar"
)

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]
BatchNorm: TypeAlias = Annotated[
    bool, typer.Option("--batch-norm", help="With batch normalization (grishin, and vgg11 to vgg19).")
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder that holds the data files; else the environment variable PELLUCID_DATA_DIR; else they are "
        "downloaded."
    ),
]
DataName: TypeAlias = Annotated[
    str,
    typer.Option(
        help="digits, mnist, fashion-mnist, kmnist, emnist, emnist-bymerge, emnist-byclass, emnist-letters, "
        "emnist-digits, emnist-mnist, usps, cifar10 or cifar100; or the path of a folder of pictures, or of a .npz or "
        ".parquet file."
    ),
]
Engine: TypeAlias = Annotated[str, typer.Option(help="What computes: auto, reference or native.")]
ModelFile: TypeAlias = Annotated[Path, typer.Argument(help="Model file, as train writes it.", metavar="MODEL")]
ModelOrName: TypeAlias = Annotated[
    str, typer.Argument(help=f"Model file, or a network of the zoo: {ZOO_NAMES}.", metavar="MODEL")
]
Resize: TypeAlias = Annotated[
    str, typer.Option(help="What becomes of image files of another shape: crop, stretch or pad.")
]
TestShare: TypeAlias = Annotated[
    float, typer.Option(help="Share of one's own data to test with if nothing says which; always the same images.")
]


def zoo_settings(batch_norm: bool) -> dict[str, Any]:
    """Return what to build a network of the zoo with; what was not asked for is left out, for few networks have it."""
    return {"batch_norm": True} if batch_norm else {}
