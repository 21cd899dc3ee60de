"""Scores of training samples that a worker computes part by part are those that Node computes at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import column, write_parquet
from safetensors.numpy import load_file, save_file

from pergrad_worker import Part, scores_file
from pergrad_worker.files import part_file
from pergrad_worker.sample import SampleTask

SAMPLES = 60
CASES = (
    "gradDot",
    "gradCos",
    "tracIn",
    "tracInCosine",
    "trak",
    "trakMeasured",
    "trakOfLoss",
    "loGra",
    "loGraMeasured",
    "diagonal",
    "diagonalMeasured",
    "diagonalOfGgn",
    "kfac",
    "ekfac",
    "ekfacMeasured",
)


@pytest.fixture(scope="module")
def attributed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder for each case, and what Node told of them."""
    folder = tmp_path_factory.mktemp("attribution")
    rng = np.random.default_rng(5)
    target = rng.integers(0, 4, SAMPLES)
    x = (rng.standard_normal((SAMPLES, 5)) + np.eye(4, 5)[target]).astype(np.float32)
    save_file({"x": x, "target": target}, folder / "data.safetensors")
    ids = [f"sample {n}" for n in range(SAMPLES)]
    for name, start, end in (("a", 0, 37), ("b", 37, SAMPLES)):
        write_parquet(
            folder / f"data/{name}.parquet", {"id": ids[start:end], "x": x[start:end], "target": target[start:end]}, 11
        )
    # A shard without samples is a part too.
    empty = pq.read_table(folder / "data/a.parquet").slice(0, 0)
    pq.write_table(empty, folder / "data/c.parquet")
    node = shutil.which("node")
    assert node is not None
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    script = Path(__file__).parent / "attribute.mjs"
    subprocess.run([node, str(script), str(folder), sys.executable], check=True, timeout=540, env=environment)
    told: dict[str, Any] = json.loads((folder / "cases.json").read_text())
    return folder, told


@pytest.mark.parametrize("case", CASES)
def test_as_on_one_machine(attributed: tuple[Path, dict[str, Any]], case: str) -> None:
    folder, told = attributed[0] / case, attributed[1]["told"][case]
    expected = load_file(folder / "expected.safetensors")["scores"]
    found = load_file(folder / "scores.safetensors")
    scale = np.abs(expected).max()
    assert (told["queries"], told["samples"]) == (3, SAMPLES)
    assert found["scores"].dtype == np.float64
    assert np.abs(found["scores"] - expected).max() <= 1e-5 * scale
    assert [bytes(row).rstrip(b"\0").decode() for row in found["ids"]] == [f"sample {n}" for n in range(SAMPLES)]
    parts = [pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    assert [len(part) for part in parts] == [11, 11, 11, 4, 11, 11, 1, 0]
    np.testing.assert_array_equal(np.concatenate([column(part, "scores") for part in parts]).T, found["scores"])
    own, theirs = told["dampings"]
    np.testing.assert_allclose(theirs, own, rtol=1e-3 if "Measured" in case else 1e-12)


def test_what_a_cluster_cannot_compute_is_refused(attributed: tuple[Path, dict[str, Any]]) -> None:
    refused = attributed[1]["refused"]
    assert len(refused) == 7
    for error in refused.values():
        assert error["code"] == "INVALID_ARGUMENT"
        assert (
            'on a cluster, use gradDot, gradCos, tracIn, trak, loGra, or influence with the inverse "ekfac"'
            in (error["message"])
        )


def test_scores_for_other_queries_are_not_taken(attributed: tuple[Path, dict[str, Any]]) -> None:
    assert "holds results of other values beside the data" in attributed[1]["other"]


def test_ids_of_any_kind_in_one_file(tmp_path: Path) -> None:
    # Whole numbers that int64 holds stay numbers.
    kinds: tuple[tuple[list[Any], Any], ...] = (
        ([2**62 + 1, 5], [2**62 + 1, 5]),
        ([2**63 + 1, 5], [str(2**63 + 1), "5"]),
        (["a", "bc"], ["a", "bc"]),
        ([b"a", b"bc"], ["a", "bc"]),
    )
    for given, expected in kinds:
        plan = [Part(k, "x.parquet", k, 1, k) for k in range(2)]
        for part, own in zip(plan, given, strict=True):
            pq.write_table(
                pa.table({"id": pa.array([own], pa.uint64() if own == 2**63 + 1 else None)}),
                part_file(str(tmp_path), part.index),
            )
        found = scores_file._ids(str(tmp_path), plan)
        if found.dtype == np.uint8:
            assert [row.tobytes().rstrip(b"\0").decode() for row in found] == expected
        else:
            assert (str(found.dtype), found.tolist()) == ("int64", expected)


def test_a_sample_is_picked_by_the_ids_that_are_asked_for(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"id": [1, 2], "own": [1, 2]}, 2)
    write_parquet(tmp_path / "b.parquet", {"own": [3, 4]}, 2)
    assert len(SampleTask("none.onnx", str(tmp_path), str(tmp_path / "out"), 1, ids="own").plan()) == 2
