"""The few array types that all signatures share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Tensors: TypeAlias = dict[str, Array]
Rng: TypeAlias = np.random.Generator
