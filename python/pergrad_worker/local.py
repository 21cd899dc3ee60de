"""All parts on this machine, without an engine: one after another, or in processes of one thread each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from .files import make_folder
from .plan import Part
from .tasks import Task


def run_all(task: Task, workers: int = 1) -> dict[str, Any]:
    """Computes the parts that are missing, in this process or in `workers` processes, and joins them.

    Gives what `done.json` holds.

    Raises PergradError as the task does.
    """
    plan = task.plan()
    make_folder(task.out)
    for _ in _computed(task, task.missing(plan), workers):
        pass
    return task.join(plan)


def _computed(task: Task, left: Sequence[Part], workers: int) -> Iterator[int]:
    """The samples of each part, as it is done."""
    if workers == 1 or len(left) < 2:
        for part in left:
            yield task.compute(part)
        return
    # Forked processes would share the runtime's state.
    with ProcessPoolExecutor(min(workers, len(left)), get_context("spawn")) as pool:
        running = [pool.submit(task.compute, part) for part in left]
        try:
            for future in as_completed(running):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
