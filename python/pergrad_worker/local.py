"""All parts on this machine, without an engine: one after another, or in processes of one thread each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from typing import Any

from .join import join_sums
from .plan import Part, missing, parts, require_parts
from .program import Program, open_program
from .run import PartResult, run_part
from .session import Optimization


def run_all(program: str, data: str, out_dir: str, *, workers: int = 1, **settings: Any) -> dict[str, Any]:
    """Computes the parts that are missing, in this process or in `workers` processes, and joins their sums.

    `settings` are those of `run_part`. Gives what `done.json` holds.

    Raises PergradError as `parts`, `run_part` and `join_sums` do.
    """
    plan = parts(data)
    opened = open_program(program, optimization=settings.get("optimization", "extended"))
    require_parts(opened.form, plan)
    os.makedirs(out_dir, exist_ok=True)
    left = missing(plan, out_dir, program)
    for _ in _computed(program, opened, left, out_dir, workers, settings):
        pass
    return join_sums(out_dir, plan, program)


def _computed(
    program: str, opened: Program, plan: Sequence[Part], out_dir: str, workers: int, settings: dict[str, Any]
) -> Iterator[PartResult]:
    if workers == 1 or len(plan) < 2:
        for part in plan:
            yield _run(program, part, out_dir, settings, opened)
        return
    # Forked processes would share the runtime's state.
    with ProcessPoolExecutor(min(workers, len(plan)), get_context("spawn")) as pool:
        running = [pool.submit(_run_in_process, program, part, out_dir, settings) for part in plan]
        try:
            for future in as_completed(running):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@cache
def _opened(program: str, optimization: Optimization) -> Program:
    """A program that each of the processes loads once."""
    return open_program(program, optimization=optimization)


def _run_in_process(program: str, part: Part, out_dir: str, settings: dict[str, Any]) -> PartResult:
    return _run(program, part, out_dir, settings, _opened(program, settings.get("optimization", "extended")))


def _run(program: str, part: Part, out_dir: str, settings: dict[str, Any], opened: Program) -> PartResult:
    return run_part(
        program, part.path, part.row_group, out_dir, part.index, first=part.first, program=opened, **settings
    )
