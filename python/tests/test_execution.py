"""What computes is chosen, and what is not there is an error: the runtime itself would warn and use the CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Case, write_parquet

from pergrad_worker import PergradError, open_program
from pergrad_worker.__main__ import main
from pergrad_worker.execution import NAMES, fallen_back, require_loaded
from pergrad_worker.tasks import MapTask


def test_the_cpu_computes_the_same_and_nothing_falls_back(perceptron: Case) -> None:
    data = perceptron.tensors("data")
    usual, chosen = open_program(perceptron.program), open_program(perceptron.program, execution=("cpu",))
    assert chosen.fallen_back is None
    found, expected = chosen.compute(data).finish(), usual.compute(data).finish()
    np.testing.assert_array_equal(found["norms/total"], expected["norms/total"])


@pytest.mark.parametrize("execution", [("cuda", "cpu"), ("tensorrt",), ("dml",), ("coreml",), ("webgpu", "cpu")])
def test_one_that_is_not_installed_says_what_to_install(perceptron: Case, execution: tuple[str, ...]) -> None:
    import onnxruntime as ort

    if NAMES[execution[0]] in ort.get_available_providers():
        pytest.skip(f"{execution[0]} is there")
    with pytest.raises(PergradError) as caught:
        open_program(perceptron.program, execution=execution)
    assert caught.value.code == "INVALID_ARGUMENT"
    start = f'The execution provider "{execution[0]}" is not in onnxruntime {ort.__version__} here, which has cpu; '
    assert caught.value.message.startswith(start)
    assert caught.value.message.endswith(", or leave it out.")


def test_words_that_are_none(perceptron: Case) -> None:
    for execution, text in ((("gpu",), 'no execution provider "gpu"'), ((), "execution must be a list of cpu, cuda")):
        with pytest.raises(PergradError, match=text):
            open_program(perceptron.program, execution=execution)


def test_libraries_that_could_not_be_loaded() -> None:
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    with pytest.raises(PergradError, match='"cuda" could not be loaded; on Linux and Windows, install onnxruntime-gpu'):
        require_loaded(session, ("cuda", "cpu"))


def test_nodes_that_fall_back_are_named() -> None:
    def on(name: str, *ops: str) -> SimpleNamespace:
        return SimpleNamespace(ep_name=name, get_nodes=lambda: [SimpleNamespace(op_type=op) for op in ops])

    parts = [
        on("CUDAExecutionProvider", "MatMul"),
        on("CPUExecutionProvider", "Scan"),
        on("CPUExecutionProvider", "Sum", "Sum"),
    ]
    session = SimpleNamespace(get_provider_graph_assignment_info=lambda: parts)
    assert fallen_back(session, ("cuda", "cpu")) == "Not on cuda but on the CPU run Sum (2), Scan."
    session = SimpleNamespace(get_provider_graph_assignment_info=lambda: parts[:1])
    assert fallen_back(session, ("cuda", "cpu")) is None
    assert (
        fallen_back(SimpleNamespace(), ("cuda",)) == "This onnxruntime does not say which nodes run on cuda; 1.30 does."
    )


def test_the_runtime_says_where_its_nodes_are(perceptron: Case) -> None:
    """What `fallen_back` reads is there, with these names."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(perceptron.program, options, providers=["CPUExecutionProvider"])
    # Everything is on the CPU, and would be named were something else preferred.
    assert "Gemm" in (fallen_back(session, ("cuda",)) or "")


def test_who_plans_needs_not_have_what_computes(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 10)
    task = MapTask(perceptron.program, str(tmp_path), str(tmp_path / "out"), execution=("cuda", "cpu"))
    plan = task.plan()
    assert len(task.missing(plan)) == 3
    base = ["--program", perceptron.program, "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*base, "--execution", "cuda,cpu"]) == 1
    assert main([*base, "--execution", "cpu"]) == 0
    with pytest.raises(PergradError, match="holds results of other settings"):
        task.missing(plan)
