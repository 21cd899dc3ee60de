"""Programs that pergrad saves, data, and what Node computes of it: made anew for each run of the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

CASES = ("perceptron", "curvature", "regression", "language", "convolutional", "recurrent", "attention")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make_programs.mjs` fills. PERGRAD_PROGRAMS names one that is filled already."""
    given = os.environ.get("PERGRAD_PROGRAMS")
    if given:
        return Path(given)
    node = shutil.which("node")
    if node is None:
        pytest.fail("there is no node to save programs with")
    folder = tmp_path_factory.mktemp("programs")
    script = Path(__file__).parent / "make_programs.mjs"
    subprocess.run([node, str(script), str(folder)], check=True, timeout=300)
    return folder


@dataclass(frozen=True)
class Case:
    """A model with its programs and data."""

    folder: Path

    @property
    def program(self) -> str:
        return str(self.folder / "whole.onnx")

    @property
    def with_inputs(self) -> str:
        """The same program with its weights as inputs."""
        return str(self.folder / "inputs.onnx")

    def tensors(self, name: str) -> dict[str, Any]:
        return load_file(str(self.folder / f"{name}.safetensors"))

    @property
    def refused(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads((self.folder / "refused.json").read_text())
        return found


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, programs: Path) -> Case:
    return Case(programs / request.param)


@pytest.fixture
def perceptron(programs: Path) -> Case:
    return Case(programs / "perceptron")


def write_parquet(path: Path, columns: dict[str, Any], row_group_size: int, **metadata: str) -> None:
    """Arrays `[N, ...]` as columns of fixed-shape tensors; others as they are."""
    arrays = {
        name: pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(value))
        if isinstance(value, np.ndarray) and value.ndim > 1
        else pa.array(value)
        for name, value in columns.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(arrays)
    pq.write_table(table.replace_schema_metadata(metadata or None), path, row_group_size=row_group_size)


def column(table: Any, name: str) -> Any:
    """A column of results as an array `[N, ...]`."""
    values = table.column(name).combine_chunks()
    return values.to_numpy_ndarray() if isinstance(values.type, pa.FixedShapeTensorType) else values.to_numpy()
