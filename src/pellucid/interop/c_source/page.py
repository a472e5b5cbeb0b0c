"""The C file: declarations, constants, a function for every layer, and those that run them in turn."""

from __future__ import annotations

from math import prod
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from pellucid.errors import ExportError
from pellucid.interop.atomic import write_atomically
from pellucid.interop.c_source.code import array, comment, identifier
from pellucid.interop.c_source.program import Program, Step, lower

if TYPE_CHECKING:
    from pellucid.arrays import Shape
    from pellucid.network import Network

#: bytes of weights above which :func:`write_c` refuses, unless it is forced
LIMIT = 8_000_000

_SOURCE = {False: "const float *input", True: "const uint8_t *pixels"}


def write_c(network: Network, path: str | Path, *, force: bool = False) -> None:
    """Write a network as one C99 file that predicts, weights and all; see ``docs/deploy.md``.

    Functions and macros are named after the file: ``digits.c`` has ``digits_predict``. They compute in float32, one
    number after the other, what :meth:`Network.predict <pellucid.network.Network.predict>` computes. Dropout is gone,
    and batch norm, with its running statistics, is in the weights of the layer before it where it can be.

    Args:
        network: what is written; the same network and name give the same bytes.
        path: the file, replaced if it is there.
        force: write networks of more than 8 MB of weights too; compilers take long over them.

    Raises:
        ExportError: a layer or the loss has no C form (one of your own), or the weights are too many.
        DataError: a weight is NaN, or does not fit into float32.
        FileWriteError: the file cannot be written.
    """
    target = Path(path)
    program = lower(network)
    if program.weight_bytes > LIMIT and not force:
        raise ExportError(
            f"the network has {program.weight_bytes / 1e6:.1f} MB of weights; the C form is for small networks, up to "
            f"{LIMIT / 1e6:.0f} MB. Export it to ONNX, or force it (force=True, or --force)"
        )
    write_atomically(target, _text(network, program, identifier(target.stem)).encode("ascii"))


def _text(network: Network, program: Program, name: str) -> str:
    functions = [line for step in program.steps for line in ["", *_function(step)]]
    body = [*functions, "", *_running(network, program, name)]
    upper = name.upper()
    lines = [
        *_head(network, program, name),
        f"#ifndef {upper}_DECLARED",
        f"#define {upper}_DECLARED",
        "",
        *_declarations(network, program, name),
        "",
        f"#endif /* {upper}_DECLARED */",
        "",
        f"#ifndef {upper}_DECLARATIONS_ONLY",
        "",
        "#include <math.h>",
        *body,
        "",
        f"#endif /* {upper}_DECLARATIONS_ONLY */",
    ]
    return "\n".join(lines) + "\n"


def _head(network: Network, program: Program, name: str) -> list[str]:
    upper = name.upper()
    parameters = sum(value.size for value in network.parameters.values())
    return [
        f"/* {name}: a convolutional network of {parameters} parameters, written by Pellucid.",
        " *",
        f" * Input:   {_shape(network.input_shape)} numbers, map after map, row after row.",
        f" * Output:  {_shape(network.output_shape)} numbers: what Network.predict gives.",
        f" * Weights: {program.weight_bytes} bytes, constant. Scratch: {4 * program.scratch} bytes.",
        " *",
        f" *     cc -std=c99 -O2 -c {name}.c",
        " *",
        f" * To call it from elsewhere, define {upper}_DECLARATIONS_ONLY and include this file there.",
        " */",
    ]


def _declarations(network: Network, program: Program, name: str) -> list[str]:
    upper = name.upper()
    return [
        "#include <stdint.h>",
        "",
        f"#define {upper}_INPUTS {prod(network.input_shape)}",
        f"#define {upper}_OUTPUTS {prod(network.output_shape)}",
        f"#define {upper}_SCRATCH {program.scratch}",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "/* Predict from numbers, or from pixels of 0 to 255; input and output must not overlap. One call at a time:",
        " * the scratch is a static array. */",
        f"{_predict(name, pixels=False)};",
        f"{_predict(name, pixels=True)};",
        "",
        f"/* The same with {upper}_SCRATCH numbers of scratch from the caller: any number of calls may run at once. */",
        f"{_predict_with(name, pixels=False)};",
        f"{_predict_with(name, pixels=True)};",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
    ]


def _function(step: Step) -> list[str]:
    """Return a step's constants and its function, under its formula."""
    routine = step.routine
    stem = step.name.removesuffix("_forward")
    constants: list[str] = []
    for key, values in routine.arrays.items():
        constants += [*array("int32_t" if values.dtype.kind == "i" else "float", f"{stem}_{key}", values), ""]
    names = ["x"] if len(step.inputs) == 1 else [f"x{i}" for i in range(1, len(step.inputs) + 1)]
    restrict = "" if routine.in_place else "restrict "
    arguments = [*(f"const float *{restrict}{n}" for n in names), f"float *{restrict}y"]
    title = wrap(comment(step.title), 112, subsequent_indent="    ", break_on_hyphens=False)
    formula = wrap(comment(routine.formula), 112, subsequent_indent="    ", break_on_hyphens=False)
    first, *rest = [*title, "", *formula]
    return [
        f"/* {first}",
        *(f" * {line}".rstrip() for line in rest),
        " */",
        *constants,
        f"static void {step.name}({', '.join(arguments)})",
        "{",
        *routine.lines,
        "}",
    ]


def _running(network: Network, program: Program, name: str) -> list[str]:
    """Return the functions that scale the input, run the layers in turn, and are called from outside."""
    constants, mean = _mean(network, name)
    calls = [_call(step, program) for step in program.steps]
    unused = [] if any("scratch" in call for call in calls) else ["(void)scratch;"]
    start = f"scratch[{program.places[0]}"
    run_scaled = f"{name}_run(&{start}], output, scratch);"
    centre = _over_inputs(name, f"{start} + i] = input[i]{mean};")
    scale = _over_inputs(name, f"{start} + i] = ((float)pixels[i] / 255.0f){mean};")
    given = [*centre, run_scaled] if mean else [f"{name}_run(input, output, scratch);"]
    return [
        *constants,
        "/* All layers in turn; what one leaves for another is in the scratch. */",
        *_defined(f"static void {name}_run(const float *input, float *output, float *scratch)", *calls, *unused),
        "",
        *_defined(_predict_with(name, pixels=False), *given),
        "",
        *_defined(_predict_with(name, pixels=True), *scale, run_scaled),
        "",
        f"static float {name}_scratch[{name.upper()}_SCRATCH];",
        "",
        *_defined(_predict(name, pixels=False), f"{name}_predict_with(input, output, {name}_scratch);"),
        "",
        *_defined(_predict(name, pixels=True), f"{name}_predict_pixels_with(pixels, output, {name}_scratch);"),
    ]


def _mean(network: Network, name: str) -> tuple[list[str], str]:
    """Return the constant that is subtracted from the input, and the text that does it."""
    mean = network.input_mean
    if mean is None:
        return [], ""
    size = prod(network.input_shape)
    place = "i" if mean.size == size else f"i / {size // mean.size}"
    return [*array("float", f"{name}_mean", mean.ravel()), ""], f" - {name}_mean[{place}]"


def _call(step: Step, program: Program) -> str:
    places = [_place(program, value) for value in (*step.inputs, step.output)]
    return f"{step.name}({', '.join(places)});"


def _place(program: Program, value: int) -> str:
    place = program.places[value]
    if value == 0:
        return "input"
    return "output" if place is None else f"&scratch[{place}]"


def _over_inputs(name: str, line: str) -> list[str]:
    return [f"for (int32_t i = 0; i < {name.upper()}_INPUTS; ++i) {{", f"    {line}", "}"]


def _defined(head: str, *lines: str) -> list[str]:
    return [head, "{", *(f"    {line}" for line in lines), "}"]


def _predict(name: str, *, pixels: bool) -> str:
    return f"void {name}_predict{'_pixels' if pixels else ''}({_SOURCE[pixels]}, float *output)"


def _predict_with(name: str, *, pixels: bool) -> str:
    return f"void {name}_predict{'_pixels' if pixels else ''}_with({_SOURCE[pixels]}, float *output, float *scratch)"


def _shape(shape: Shape) -> str:
    return " x ".join(map(str, shape))
