"""Processes that are stopped or killed, and calls that share a folder: what is there stays whole, and nothing is said to be done that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Case, write_parquet

from pergrad_worker import Part, PergradError, parts
from pergrad_worker.files import JOB, make_folder, part_file, remove_unfinished, written
from pergrad_worker.local import run_all
from pergrad_worker.tasks import MapTask


@dataclass(frozen=True)
class DiesElsewhere:
    """A task whose processes are killed, but for one."""

    out: str
    process: int
    execution: tuple[str, ...] = ("cpu",)

    def plan(self) -> list[Part]:
        return [Part(k, "x.parquet", k, 1, k) for k in range(4)]

    def missing(self, plan: Sequence[Part]) -> list[Part]:
        return [part for part in plan if not os.path.exists(part_file(self.out, part.index))]

    def compute(self, part: Part) -> int:
        if os.getpid() != self.process:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.5)
        Path(part_file(self.out, part.index)).touch()
        return 1

    def notes(self) -> tuple[str, ...]:
        return ()

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        return {"parts": len(plan), "samples": len(plan)}


def test_a_process_that_is_killed_is_one_sentence(tmp_path: Path) -> None:
    task = DiesElsewhere(str(tmp_path), os.getpid())
    with pytest.raises(PergradError, match=r"^A worker process has died; if it lacked memory, take fewer") as caught:
        run_all(task, 2)
    assert caught.value.code == "RUNTIME"
    assert run_all(task, 1)["parts"] == 4


def test_ctrl_c_keeps_what_is_done(perceptron: Case, tmp_path: Path) -> None:
    data = perceptron.tensors("data")
    many = {name: np.concatenate([value] * 100) for name, value in data.items()}
    write_parquet(tmp_path / "a.parquet", many, 10)
    out = tmp_path / "out"
    arguments = ["--program", perceptron.program, "--data", str(tmp_path / "a.parquet"), "--out", str(out)]
    command = [sys.executable, "-m", "pergrad_worker", *arguments, "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while running.poll() is None and not list(out.glob("part-*.parquet")):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (
        130,
        "pergrad_worker: stopped; the parts that are done stay, and the same command goes on.\n",
    )
    assert 0 < len(list(out.glob("part-*.parquet"))) < 300
    assert not (out / "done.json").exists()
    assert not list(out.glob("*.partial"))


def test_processes_end_with_the_one_that_started_them(perceptron: Case, tmp_path: Path) -> None:
    data = perceptron.tensors("data")
    write_parquet(tmp_path / "a.parquet", {name: np.concatenate([value] * 100) for name, value in data.items()}, 10)
    out = tmp_path / "out"
    arguments = ["--program", perceptron.program, "--data", str(tmp_path / "a.parquet"), "--out", str(out)]
    command = [sys.executable, "-m", "pergrad_worker", *arguments, "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while running.poll() is None and not list(out.glob("part-*.parquet")):
            time.sleep(0.01)
        running.kill()
        # It ends with the last process that may write to it.
        running.communicate(timeout=30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def test_only_what_is_whole_is_said_to_be_done(perceptron: Case, tmp_path: Path) -> None:
    data = perceptron.tensors("data")
    write_parquet(tmp_path / "data/a.parquet", data, 10)
    task = MapTask(perceptron.program, str(tmp_path / "data"), str(tmp_path / "out"))
    run_all(task)
    assert (tmp_path / "out/done.json").exists()
    # More data, which cannot be computed.
    write_parquet(tmp_path / "data/b.parquet", {**data, "target": np.full(30, -1)}, 10)
    with pytest.raises(PergradError, match="label -1"):
        run_all(task)
    assert not (tmp_path / "out/done.json").exists()


def test_calls_that_share_a_folder_leave_each_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path / "out")
    make_folder(folder)
    (tmp_path / "out/part-00000.parquet.pergrad-1.0.partial").touch()
    old = tmp_path / "out/part-00000.parquet.pergrad-3.0.partial"
    old.touch()
    os.utime(old, (0, 0))
    monkeypatch.setenv(JOB, "pergrad-2")
    with written(part_file(folder, 1)) as aside:
        Path(aside).write_bytes(b"whole")
        assert ".pergrad-2." in aside
        # Another call ends meanwhile.
        monkeypatch.setenv(JOB, "pergrad-1")
        remove_unfinished(folder)
    assert sorted(os.listdir(folder)) == ["part-00001.parquet"]


def test_two_calls_at_once_give_what_one_gives(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 2)
    base = ["--program", perceptron.program, "--data", str(tmp_path / "a.parquet"), "--out"]
    command = [sys.executable, "-m", "pergrad_worker", *base]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    running = [subprocess.Popen([*command, str(tmp_path / "out")], env=environment) for _ in range(2)]
    assert [each.wait(timeout=60) for each in running] == [0, 0]
    run_all(MapTask(perceptron.program, str(tmp_path / "a.parquet"), str(tmp_path / "alone")))
    assert len(parts(str(tmp_path / "a.parquet"))) == 15
    names = sorted(os.listdir(tmp_path / "alone"))
    assert sorted(os.listdir(tmp_path / "out")) == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
