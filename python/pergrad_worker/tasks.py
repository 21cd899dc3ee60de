"""The work on a whole data set, as engines see it: plan the parts, find the missing ones, compute one, join all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from .errors import PergradError
from .execution import CPU
from .join import join_sums
from .plan import Identity, Part, identity_of, missing, parts, require_parts
from .program import NotFiniteMode
from .run import compute_part
from .sample import SampleTask
from .scores import FeatureScores, ProductScores, ScoresTask
from .session import Optimization
from .values import Opened, open_with

PROGRAM = "program.onnx"
JOB = "job.json"


class Task(Protocol):
    """A task can be pickled and hashed. However often a part is computed, and by whom, its files are the same."""

    @property
    def out(self) -> str: ...

    @property
    def execution(self) -> tuple[str, ...]:
        """Execution providers for the parts, the preferred one first. Planning and joining use none."""

    def plan(self) -> list[Part]:
        """All parts. Raises PergradError, as the other methods do, if something that all parts share is at fault."""

    def missing(self, plan: Sequence[Part]) -> list[Part]: ...

    def compute(self, part: Part) -> int:
        """Computes and writes one part. Returns how many samples it has."""

    def notes(self) -> tuple[str, ...]:
        """Remarks on how parts are computed in this process."""

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        """Puts all parts together. Returns what `done.json` holds."""


@dataclass(frozen=True)
class MapTask:
    """Runs a program over all row groups. For the settings see `run_part` and `Program.given`."""

    program: str
    data: str
    out: str
    files: tuple[str, ...] = ()
    """safetensors files of what is fed beside the data, by input name."""
    scalars: tuple[tuple[str, float], ...] = ()
    batch_size: int | None = None
    ids: str | None = None
    allow_not_finite: bool = False
    not_finite: NotFiniteMode = "ignore"
    gram: tuple[str, ...] = ()
    optimization: Optimization = "extended"
    execution: tuple[str, ...] = CPU

    def plan(self) -> list[Part]:
        plan = parts(self.data, self.ids)
        require_parts(self._planned.program.form, plan)
        return plan

    def missing(self, plan: Sequence[Part]) -> list[Part]:
        return missing(plan, self.out, self._identity)

    def compute(self, part: Part) -> int:
        opened = _opened(self)
        return compute_part(
            opened.program,
            opened.given,
            part,
            self.out,
            batch_size=self.batch_size,
            ids=self.ids,
            allow_not_finite=self.allow_not_finite,
            not_finite=self.not_finite,
            gram=self.gram,
        ).samples

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        return join_sums(self.out, plan, self._identity)

    def notes(self) -> tuple[str, ...]:
        note = _opened(self).program.fallen_back
        return () if note is None else (note,)

    @property
    def _planned(self) -> Opened:
        """For planning: the node that plans need not have the execution provider."""
        return _opened(replace(self, execution=CPU))

    @property
    def _identity(self) -> Identity:
        opened = self._planned
        return identity_of(
            opened.program.digest, opened.given, self.not_finite, self.execution, self.optimization, self.ids
        )


@lru_cache(maxsize=4)
def _opened(task: MapTask) -> Opened:
    """Once for each process that computes parts."""
    return open_with(
        task.program, task.files, scalars=dict(task.scalars), optimization=task.optimization, execution=task.execution
    )


def read_task(folder: str) -> Task:
    """The task that a folder's `job.json` describes; its files lie beside it. Raises PergradError FILE_UNREADABLE."""
    path = os.path.join(folder, JOB)
    try:
        with open(path, encoding="utf-8") as file:
            job = json.load(file)
        return _task(folder, job)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PergradError("FILE_UNREADABLE", f'"{path}" describes no job: {error}.') from error


def _task(folder: str, job: dict[str, Any]) -> Task:
    where = {"data": job["data"], "out": job["out"]}
    settings = _frozen(job.get("settings", {}))
    if "scores" in job:
        scores = job["scores"]
        return ScoresTask(
            **where,
            queries=scores["queries"],
            products=tuple(_products(folder, each) for each in scores.get("products", [])),
            features=tuple(_features(folder, each) for each in scores.get("features", [])),
            **settings,
        )
    program = _at(folder, PROGRAM)
    if "most" in job:
        return SampleTask(program, most=job["most"], **where, **settings)
    files = _in(folder, settings.pop("files", ()))
    scalars = tuple((name, float(number)) for name, number in settings.pop("scalars", {}).items())
    return MapTask(program, **where, files=files, scalars=scalars, **settings)


def _products(folder: str, said: dict[str, Any]) -> ProductScores:
    own = _frozen(said)
    return ProductScores(**{**own, "program": _at(folder, own["program"]), "files": _in(folder, own["files"])})


def _features(folder: str, said: dict[str, Any]) -> FeatureScores:
    return FeatureScores(**{**said, "vectors": _at(folder, said["vectors"])})


def _in(folder: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_at(folder, name) for name in names)


def _frozen(said: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}


def _at(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))
