"""Loads the files of programs into ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from .execution import CPU, providers, require_loaded

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the runtime is first loaded

Optimization = Literal["extended", "all"]
"""`extended` computes what Node computes; `all` may lay out convolutions in blocks of channels, which is faster."""


def load_session(
    path: str, *, threads: int = 1, optimization: Optimization, disabled: Sequence[str], execution: Sequence[str] = CPU
) -> Any:
    """A session for a file; it logs nothing. `disabled`: the runtime's optimizers to leave out.

    Raises PergradError INVALID_ARGUMENT or RUNTIME if an execution provider is missing, and what the runtime raises.
    """
    import onnxruntime as ort

    chosen = providers(execution)
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(
        ort.GraphOptimizationLevel, "ORT_ENABLE_EXTENDED" if optimization == "extended" else "ORT_ENABLE_ALL"
    )
    if execution[0] != "cpu":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(path, options, providers=chosen, disabled_optimizers=list(disabled))
    require_loaded(session, execution)
    return session
