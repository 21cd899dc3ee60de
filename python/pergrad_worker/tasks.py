"""A whole data set's work as engines see it: its parts, those that are missing, one part, and what all come to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Protocol

from safetensors.numpy import load_file

from .errors import PergradError
from .given import Given
from .join import join_sums
from .plan import Identity, Part, identity_of, missing, parts, require_parts
from .program import NotFiniteMode, Program, open_program
from .run import run_part
from .session import Optimization

PROGRAM = "program.onnx"
JOB = "job.json"


class Task(Protocol):
    """Idempotent for each part: whoever computes one, and how often, its files are the same. It can be sent and hashed."""

    @property
    def out(self) -> str: ...

    def plan(self) -> list[Part]:
        """All parts. Raises PergradError, as do the others, where something is at fault that all parts share."""

    def missing(self, plan: Sequence[Part]) -> list[Part]: ...

    def compute(self, part: Part) -> int:
        """Computes and writes one part; gives its samples."""

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        """Puts all parts together; gives what `done.json` holds."""


@dataclass(frozen=True)
class MapTask:
    """A program over all row groups. Settings are those of `run_part` and `Program.given`."""

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
    gram: tuple[str, ...] = field(default=())
    optimization: Optimization = "extended"

    def plan(self) -> list[Part]:
        plan = parts(self.data)
        require_parts(_opened(self).program.form, plan)
        return plan

    def missing(self, plan: Sequence[Part]) -> list[Part]:
        return missing(plan, self.out, self._identity)

    def compute(self, part: Part) -> int:
        opened = _opened(self)
        return run_part(
            self.program,
            part.path,
            part.row_group,
            self.out,
            part.index,
            first=part.first,
            program=opened.program,
            given=opened.given,
            batch_size=self.batch_size,
            ids=self.ids,
            allow_not_finite=self.allow_not_finite,
            not_finite=self.not_finite,
            gram=self.gram,
        ).samples

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        return join_sums(self.out, plan, self._identity)

    @property
    def _identity(self) -> Identity:
        opened = _opened(self)
        return identity_of(opened.program.digest, opened.given, self.not_finite)


@dataclass(frozen=True)
class Opened:
    """A program that is loaded, with what it is fed beside its data."""

    program: Program
    given: Given


@lru_cache(maxsize=4)
def _opened(task: MapTask) -> Opened:
    """Once for each process that computes parts."""
    return open_with(task.program, task.files, scalars=dict(task.scalars), optimization=task.optimization)


def open_with(
    path: str, files: Sequence[str], *, scalars: dict[str, float] | None = None, optimization: Optimization = "extended"
) -> Opened:
    """Opens a program, with what safetensors files hold for its inputs. Raises PergradError."""
    program = open_program(path, optimization=optimization)
    inputs: dict[str, Any] = {}
    for file in files:
        inputs |= load_values(file)
    return Opened(program, program.given(scalars=scalars, inputs=inputs))


def load_values(path: str) -> dict[str, Any]:
    """The tensors of a safetensors file. Raises PergradError FILE_UNREADABLE."""
    try:
        return load_file(path)
    except Exception as error:
        raise PergradError("FILE_UNREADABLE", f'"{path}" is no readable safetensors file: {error}.') from error


def read_task(folder: str) -> Task:
    """The work that `job.json` of a folder describes, with the files beside it. Raises PergradError FILE_UNREADABLE."""
    path = os.path.join(folder, JOB)
    try:
        with open(path, encoding="utf-8") as file:
            job = json.load(file)
        return _task(folder, job)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PergradError("FILE_UNREADABLE", f'"{path}" describes no job: {error}.') from error


def _task(folder: str, job: dict[str, Any]) -> Task:
    settings = dict(job["settings"])
    known = {each.name for each in fields(MapTask)} - {"program", "data", "out"}
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        raise ValueError(f"the setting {unknown!r} is not known")
    lists = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
    scalars = tuple((name, float(number)) for name, number in settings.pop("scalars", {}).items())
    files = tuple(os.path.join(folder, name) for name in lists.pop("files", ()))
    return MapTask(
        os.path.join(folder, PROGRAM),
        job["data"],
        job["out"],
        **{**settings, **lists, "files": files, "scalars": scalars},
    )
