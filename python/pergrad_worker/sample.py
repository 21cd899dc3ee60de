"""Picks a few samples of a large data set, evenly spaced: pergrad measures a damping on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from .checking import Array
from .execution import CPU
from .files import DONE, make_folder, write_json, written
from .plan import Part, parts
from .run import read_part
from .values import Opened, open_with

FILE = "samples.safetensors"


@dataclass(frozen=True)
class SampleTask:
    """Picks every n-th sample, so that there are at most `most`. The process that joins writes them to one file."""

    program: str
    """The program whose inputs are picked."""
    data: str
    out: str
    most: int
    ids: str | None = None
    allow_not_finite: bool = False
    execution: tuple[str, ...] = CPU

    def plan(self) -> list[Part]:
        return parts(self.data, self.ids)

    def missing(self, plan: Sequence[Part]) -> list[Part]:
        return []

    def compute(self, part: Part) -> int:
        return part.rows

    def notes(self) -> tuple[str, ...]:
        return ()

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        samples = sum(part.rows for part in plan)
        stride = max(1, -(-samples // self.most))
        found = [self._picked(part, stride) for part in plan]
        program = _opened(self).program
        joined: dict[str, Array] = {}
        for each in program.form.inputs:
            own = [arrays[each.name] for arrays in found if arrays]
            if own:
                joined[each.name] = own[0] if each.sample_axis is None else np.concatenate(own, each.sample_axis)
        make_folder(self.out)
        with written(os.path.join(self.out, FILE)) as aside:
            save_file({name: np.ascontiguousarray(value) for name, value in joined.items()}, aside)
        done = {"parts": len(plan), "samples": samples}
        write_json(os.path.join(self.out, DONE), done)
        return done

    def _picked(self, part: Part, stride: int) -> dict[str, Array]:
        places = list(range(-part.first % stride, part.rows, stride))
        if not places:
            return {}
        program, given = _opened(self).program, _opened(self).given
        _, prepared = read_part(program, given, part.path, part.row_group, self.ids, part.first, self.allow_not_finite)
        return dict(program.part_of(prepared, places).feeds)


@lru_cache(maxsize=1)
def _opened(task: SampleTask) -> Opened:
    return open_with(task.program, ())
