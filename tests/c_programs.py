"""Networks as C, compiled and called: with every warning an error, in this process or as a program of their own."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pellucid import Network
from pellucid.interop.c_source import write_c

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
STRICT = (
    *("-std=c99", "-pedantic", "-Werror", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wmissing-prototypes"),
    *("-Wdouble-promotion", "-Wcast-qual", "-Wundef", "-Wstrict-prototypes"),
)
_NUMBERS = itertools.count()


def compile_c(*arguments: object) -> None:
    """Run the compiler, and show what it says if it finds fault."""
    done = subprocess.run([str(COMPILER), *STRICT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class CNetwork:
    """A network's C file, compiled into a library and loaded."""

    def __init__(self, network: Network, folder: Path, *, optimize: str = "-O0") -> None:
        self.source = folder / "net.c"
        write_c(network, self.source)
        library = folder / f"net-{next(_NUMBERS)}.so"  # one that is loaded already would not be read again
        compile_c(optimize, "-fPIC", "-shared", self.source, "-o", library, "-lm")
        self._library = ctypes.CDLL(str(library))
        self._shape = network.output_shape

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the prediction for every sample: of bytes, or of floats."""
        function = self._library.net_predict_pixels if x.dtype == np.uint8 else self._library.net_predict
        outputs = np.full((len(x), *self._shape), np.nan, np.float32)
        for sample, output in zip(np.ascontiguousarray(x), outputs, strict=True):
            function(sample.ctypes.data_as(ctypes.c_void_p), output.ctypes.data_as(ctypes.c_void_p))
        return outputs
