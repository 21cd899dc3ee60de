"""Execution providers: what the runtime computes on, and what to install if one is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .errors import PergradError

CPU = ("cpu",)

NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}

NEEDS = {
    "cpu": "it is in every package",
    "cuda": "on Linux and Windows, install onnxruntime-gpu in place of onnxruntime, with CUDA 12 and cuDNN 9 "
    '(pip install "onnxruntime-gpu[cuda,cudnn]")',
    "tensorrt": "install onnxruntime-gpu in place of onnxruntime, with CUDA 12, cuDNN 9 and TensorRT 10",
    "dml": "on Windows, install onnxruntime-directml in place of onnxruntime",
    "coreml": "it is in onnxruntime on macOS",
    "webgpu": "it needs a build of onnxruntime with WebGPU",
}

NVIDIA = ("cuda", "tensorrt")
"""Providers for which a task takes one of the GPUs that Ray counts."""


def providers(execution: Sequence[str]) -> list[str]:
    """The runtime's names of the providers, the preferred one first. The CPU comes last, for what the others cannot compute.

    Raises PergradError INVALID_ARGUMENT for an unknown name, and for a provider that is not installed, with what to install:
    the runtime itself would only warn, and compute on the CPU.
    """
    import onnxruntime as ort

    here = ort.get_available_providers()
    if not execution:
        raise PergradError("INVALID_ARGUMENT", f"execution must be a list of {_words()}, the preferred one first.")
    for each in execution:
        if each not in NAMES:
            raise PergradError("INVALID_ARGUMENT", f'There is no execution provider "{each}"; give some of {_words()}.')
        if NAMES[each] not in here:
            known = [word for word, name in NAMES.items() if name in here]
            raise PergradError(
                "INVALID_ARGUMENT",
                f'The execution provider "{each}" is not in onnxruntime {ort.__version__} here, which has '
                f"{', '.join(known)}; {NEEDS[each]}, or leave it out.",
            )
    return [NAMES[each] for each in dict.fromkeys([*execution, "cpu"])]


def require_loaded(session: Any, execution: Sequence[str]) -> None:
    """Raises PergradError RUNTIME if a provider's libraries could not be loaded, which the runtime only logs."""
    found = session.get_providers()
    lacking = next((each for each in execution if NAMES[each] not in found), None)
    if lacking is not None:
        raise PergradError(
            "RUNTIME",
            f'The execution provider "{lacking}" could not be loaded; {NEEDS[lacking]}, or leave it out.',
        )


def fallen_back(session: Any, execution: Sequence[str]) -> str | None:
    """A remark that names the operators on the CPU although another provider is preferred; None if there are none."""
    preferred = execution[0]
    if preferred == "cpu":
        return None
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return f"This onnxruntime does not say which nodes run on {preferred}; 1.30 does."
    on_cpu = [each for each in session.get_provider_graph_assignment_info() if each.ep_name == NAMES["cpu"]]
    return remark(preferred, [node.op_type for each in on_cpu for node in each.get_nodes()])


def remark(preferred: str, operators: Sequence[str]) -> str | None:
    """Names the operators that do not run on the preferred provider, the most frequent first."""
    counts = Counter(operators)
    if not counts:
        return None
    shown = [op if count == 1 else f"{op} ({count})" for op, count in counts.most_common()]
    return f"Not on {preferred} but on the CPU run {', '.join(shown)}."


def _words() -> str:
    return ", ".join(NAMES)
