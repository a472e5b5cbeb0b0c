"""``pellucid export``: a model file for programs without Pellucid, as ONNX or as C."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli.options import AsJson, ModelFile
from pellucid.cli.output import results


class Format(StrEnum):
    """What a model can be exported to."""

    onnx = "onnx"
    c = "c"


def export(
    model: ModelFile,
    to: Annotated[Format, typer.Option(help="An ONNX model, or one file of C99 with the weights in it.")],
    output: Annotated[Path, typer.Option(help="The file to write; C functions are named after it.")],
    force: Annotated[bool, typer.Option("--force", help="Write more than 8 MB of weights as C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for programs without Pellucid: as an ONNX model, or as a file of C."""
    if force and to is not Format.c:
        raise typer.BadParameter("--force lifts the limit of --to c; leave it out")
    with results(as_json) as shown:
        from pellucid.network import Network

        network = Network.load(model, engine="reference")
        if to is Format.c:
            from pellucid.interop.c_source import write_c

            write_c(network, output, force=force)
        else:
            from pellucid.interop.onnx import export_model

            export_model(network, output)
        size = output.stat().st_size
        told = {"model": str(model), "format": to.value, "output": str(output), "bytes": size}
        shown.show(told, f"{output}: {size:,} bytes")
