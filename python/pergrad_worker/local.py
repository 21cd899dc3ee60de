"""All parts on this machine, without an engine: one after another, or in processes of one thread each."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Event, Lock, Thread
from typing import Any

from .errors import PergradError
from .files import make_folder, remove_unfinished, reopen
from .plan import Part
from .tasks import Task


def run_all(task: Task, workers: int = 1) -> dict[str, Any]:
    """Computes the parts that are missing, in this process or in `workers` processes, and joins them.

    Returns what `done.json` holds.

    Raises PergradError as the task does, and RUNTIME where a process has died.
    """
    plan = task.plan()
    make_folder(task.out)
    left = task.missing(plan)
    if left:
        reopen(task.out)
    try:
        for _ in _computed(task, left, workers):
            pass
    except BrokenExecutor as error:
        raise PergradError(
            "RUNTIME",
            "A worker process has died; if it lacked memory, take fewer workers or a smaller batch size. The parts that are "
            "done stay, and the same call goes on.",
        ) from error
    remove_unfinished(task.out)
    return task.join(plan)


def _computed(task: Task, left: Sequence[Part], workers: int) -> Iterator[int]:
    """The number of samples of each part, when it is done."""
    others = min(workers, len(left)) - 1
    if others < 1:
        yield from map(task.compute, left)
        return
    waiting = iter(left)
    taking, failed = Lock(), Event()

    def drain(compute: Callable[[Part], int]) -> list[int]:
        """Takes one part after another."""
        done: list[int] = []
        while not failed.is_set():
            with taking:
                part = next(waiting, None)
            if part is None:
                break
            try:
                done.append(compute(part))
            except BaseException:
                # After a faulty part, no further part is started.
                failed.set()
                raise
        return done

    # Forked processes would share the runtime's state. This one computes too: it has loaded all that others load first.
    with (
        ProcessPoolExecutor(others, get_context("spawn"), initializer=_end_with_parent) as pool,
        ThreadPoolExecutor(others, initializer=_leave_interrupts) as threads,
    ):
        running = [threads.submit(drain, lambda part: pool.submit(task.compute, part).result()) for _ in range(others)]
        yield from drain(task.compute)
        for each in running:
            yield from each.result()


def _end_with_parent() -> None:
    """A process that waits for parts does not see that the one that gives them out was killed, and would wait for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _leave_interrupts() -> None:
    """Ctrl-C reaches all processes, but those that a thread starts take over what it blocks: they finish their parts."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
