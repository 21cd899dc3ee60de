"""Answers the questions of a folder by tasks on a Ray cluster, as one long job, until it is told to stop.

pergrad submits this file as a job, with `job.json`: `{"folder": folder}`, on a disk that all nodes share. A question is
answered by one idempotent task, which Ray begins again where its worker dies. The job ends when the folder holds a file
`stop`, or when pergrad no longer touches the file `alive`.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import ray

from pergrad_worker.answering import answer, questions

RETRIES = 5
"""How often a task is started again after its worker, or its node, has died."""

SILENCE = 120.0
"""Seconds after which pergrad counts as gone if it does not touch `alive`."""


@ray.remote(num_cpus=1, max_retries=RETRIES)
def answer_one(folder: str, question: str) -> None:
    """Answers one question."""
    answer(folder, question)


class Owner:
    """The process that asks. It is gone when its file has not changed for a while, by this machine's clock."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "alive")
        self._stop = os.path.join(folder, "stop")
        self._seen, self._when = -1, time.monotonic()

    def is_gone(self) -> bool:
        try:
            changed = os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            changed = -1
        if changed != self._seen:
            self._seen, self._when = changed, time.monotonic()
        return os.path.exists(self._stop) or time.monotonic() - self._when > SILENCE


def serve(folder: str) -> None:
    """Hands out each question once, until nobody asks any more."""
    running: dict[str, Any] = {}
    owner = Owner(folder)
    while not owner.is_gone():
        for question in questions(folder):
            if question not in running:
                running[question] = answer_one.remote(folder, question)
        if not running:
            time.sleep(0.01)
            continue
        done, _others = ray.wait(list(running.values()), timeout=0.01)
        for question in [each for each, task in running.items() if task in done]:
            # If the task's workers died again and again, the question has no answer, and is handed out anew.
            del running[question]


def main() -> None:
    """Serves the folder of this job."""
    with open("job.json", encoding="utf-8") as file:
        folder = json.load(file)["folder"]
    ray.init(log_to_driver=False, logging_level="warning")
    serve(folder)


if __name__ == "__main__":
    # Imported by name, so that tasks refer to their function by name, and workers import it from the folder.
    from pergrad_ray_answers import main as own_main

    own_main()
