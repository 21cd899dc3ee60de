"""Files of programs, loaded into ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the runtime is first loaded

Optimization = Literal["extended", "all"]
"""`extended` computes what Node computes; `all` may lay out convolutions in blocks of channels, which is faster."""


def load_session(path: str, *, threads: int = 1, optimization: Optimization, disabled: Sequence[str]) -> Any:
    """The session of a file, which writes nothing to the log. `disabled`: optimizers that it does without."""
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(
        ort.GraphOptimizationLevel, "ORT_ENABLE_EXTENDED" if optimization == "extended" else "ORT_ENABLE_ALL"
    )
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled))
