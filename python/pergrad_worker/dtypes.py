"""The dtypes of tensors, by the names that pergrad has for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

NUMPY: Mapping[str, type[np.generic]] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint64": np.uint64,
    "uint32": np.uint32,
    "uint16": np.uint16,
    "uint8": np.uint8,
    "bool": np.bool_,
}
FLOATS = ("float64", "float32", "float16")
WHOLE = ("int64", "int32", "int16", "int8", "uint32", "uint16", "uint8")
