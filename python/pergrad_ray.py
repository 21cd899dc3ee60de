"""Runs a job of pergrad over Parquet files on a Ray cluster: one task for each row group that is not done yet.

pergrad submits this file as a job, in a folder that holds `job.json` (which `pergrad_worker.tasks` reads), programs and the
worker. Data and results are on a disk that all nodes share. A task is idempotent: it writes its part aside and renames it, so
a retry, or a second job after this one was killed, computes only what is missing.

Lines for pergrad have the form `pergrad: KIND JSON`; the kinds are `progress`, `note`, `error` and `done`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import ray

from pergrad_worker import Part, PergradError
from pergrad_worker.execution import NVIDIA
from pergrad_worker.files import make_folder, remove_unfinished, reopen
from pergrad_worker.tasks import Task, read_task

RETRIES = 5
"""How often a task is started again after its worker, or its node, has died."""

WINDOW = 2
"""Tasks per CPU that are submitted at a time: few, so that little is under way when a part turns out to be at fault."""

STEPS = 500
"""How many steps of progress are printed at most: pergrad reads the whole log again and again."""


@cache
def own_task() -> Task:
    """The task of this job. Ray's tasks run in the job's folder too."""
    return read_task(".")


@ray.remote(num_cpus=1, max_retries=RETRIES)
def compute(part: Part) -> tuple[int, tuple[str, ...]]:
    """Computes and writes one part. Returns how many samples it has, and remarks."""
    samples = own_task().compute(part)
    return samples, own_task().notes()


def resources(execution: Sequence[str]) -> dict[str, int]:
    """What a task takes from its node. Raises PergradError if no node has it: the task would wait for ever."""
    if not any(each in NVIDIA for each in execution):
        return {"CPU": 1}
    if ray.cluster_resources().get("GPU", 0) < 1:
        raise PergradError(
            "INVALID_ARGUMENT",
            f"The cluster has no GPU that Ray knows of, but {execution[0]} takes one; start nodes with "
            "--num-gpus, or leave it out.",
        )
    return {"CPU": 1, "GPU": 1}


def say(kind: str, **what: Any) -> None:
    """Prints a line for pergrad."""
    print(f"pergrad: {kind} {json.dumps(what)}", flush=True)


class Progress:
    """Prints how far the job has come: at each five-hundredth of it, and every ten seconds."""

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total, self.samples = done, total, 0
        self._told, self._when = -1, 0.0
        self._notes: set[str] = set()

    def note(self, notes: Iterable[str]) -> None:
        """Prints each remark once."""
        for text in notes:
            if text not in self._notes:
                self._notes.add(text)
                say("note", text=text)

    def add(self, samples: int) -> None:
        self.done += 1
        self.samples += samples
        self.tell()

    def tell(self) -> None:
        step, now = self.done * STEPS // max(1, self.total), time.monotonic()
        if step == self._told and now - self._when < 10:
            return
        self._told, self._when = step, now
        say("progress", parts=self.done, of=self.total, samples=self.samples)


def compute_all(waiting: list[Part], progress: Progress, takes: Mapping[str, int]) -> None:
    """Computes parts until one is at fault. Those under way are then finished, and kept."""
    queue = list(reversed(waiting))
    running: dict[Any, Part] = {}
    fault: Exception | None = None
    begin = compute.options(num_cpus=takes["CPU"], num_gpus=takes.get("GPU", 0))
    while running or (queue and fault is None):
        there = ray.cluster_resources()
        room = max(1, int(min(there.get(name, 0) for name in takes))) * WINDOW - len(running)
        for _ in range(min(room, len(queue)) if fault is None else 0):
            part = queue.pop()
            running[begin.remote(part)] = part
        done, _others = ray.wait(list(running), timeout=10)
        for task in done:
            part = running.pop(task)
            try:
                samples, notes = ray.get(task)
                progress.add(samples)
                progress.note(notes)
            except Exception as error:
                fault = fault or cause_of(error, part)
        progress.tell()
    if fault is not None:
        raise fault


def cause_of(error: Exception, part: Part) -> Exception:
    """What a task failed with, without Ray's frame around it."""
    if isinstance(error, ray.exceptions.RayTaskError):
        return error.cause if isinstance(error.cause, Exception) else error
    return PergradError(
        "CLUSTER_JOB",
        f'The workers that computed row group {part.row_group} of "{part.path}" died, {RETRIES + 1} of them '
        f"({type(error).__name__}); look whether they lack memory, and take a smaller batch size.",
    )


def run(task: Task) -> None:
    """Computes what is missing, and joins all parts."""
    plan = task.plan()
    waiting = task.missing(plan)
    progress = Progress(len(plan) - len(waiting), len(plan))
    progress.tell()
    make_folder(task.out)
    if waiting:
        reopen(task.out)
    compute_all(waiting, progress, resources(task.execution))
    lost = task.missing(plan)
    if lost:
        raise PergradError(
            "FILE_UNWRITABLE",
            f'{len(lost)} of {len(plan)} parts were computed, but the node that joins them does not see them in "{task.out}"; '
            "put the folder on a disk that all nodes share.",
        )
    task.join(plan)
    remove_unfinished(task.out)
    say("done", parts=len(plan), samples=sum(part.rows for part in plan))


def sentence(error: Exception) -> str:
    """An error's message on one line. For an error of Ray that ends in a traceback, it is the traceback's last line."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if "Traceback" in text else " ".join(lines)


def main() -> None:
    """Runs the job of this folder. The last line for pergrad is `done` or `error`."""
    try:
        task = own_task()
        ray.init(log_to_driver=False, logging_level="warning")
        run(task)
    except Exception as error:
        say("error", code=getattr(error, "code", type(error).__name__), message=sentence(error))
        sys.exit(1)


if __name__ == "__main__":
    # Imported by name, so that tasks refer to their function by name, and workers import it from the folder.
    from pergrad_ray import main as own_main

    own_main()
