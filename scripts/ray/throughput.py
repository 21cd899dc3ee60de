"""Ways to compute all parts of a job, one at a time as asked: throughput.py FOLDER ADDRESS MARK.

FOLDER is a job's. Reads words from the standard input, each naming a way to compute, and answers with a line of JSON: seconds
by the clock, and seconds of CPU time. MARK is what the environment of the Ray node's processes holds.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

FOLDER, ADDRESS, MARK = sys.argv[1:]
os.environ["OMP_NUM_THREADS"] = "1"
os.chdir(FOLDER)
sys.path.insert(0, FOLDER)

import ray  # noqa: E402
from pergrad_ray import compute  # noqa: E402

from pergrad_worker.tasks import read_task  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
task = read_task(".")
plan = task.plan()


def on_ray(cpus: int) -> None:
    ray.get([compute.options(num_cpus=cpus).remote(part) for part in plan])


def warm(way: str) -> None:
    """A job's workers start once, and Ray ends workers that have been idle, so their start does not count in a rate."""
    for _ in range(20 if way.startswith("ray") else 0):
        compute_here = [where.options(num_cpus=2 if way == "ray, one worker" else 1).remote() for _ in range(2)]
        if len(set(ray.get(compute_here))) == (1 if way == "ray, one worker" else 2):
            return


@ray.remote
def where() -> int:
    """Makes the process load the program, and returns which process it is."""
    from pergrad_ray import own_task

    own_task().missing(own_task().plan())
    time.sleep(0.2)
    return os.getpid()


def worker(workers: int) -> None:
    command = [sys.executable, "-m", "pergrad_worker", "--job", FOLDER, "--workers", str(workers)]
    for path in Path(task.out).glob("*"):
        path.unlink()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


WAYS = {
    # A node of two CPUs runs one task at a time if the task takes both.
    "ray, one worker": lambda: on_ray(2),
    "ray, two workers": lambda: on_ray(1),
    "--workers 1": lambda: worker(1),
    "--workers 2": lambda: worker(2),
}


seen: dict[str, int] = {}


def of_workers() -> float:
    """Seconds of CPU time of the Ray node's workers, including those that have ended."""
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::" in (each / "cmdline").read_bytes() and MARK.encode() in (each / "environ").read_bytes():
                fields = (each / "stat").read_text().rsplit(")", 1)[1].split()
                seen[f"{each.name} {fields[19]}"] = int(fields[11]) + int(fields[12])
        except OSError:
            continue  # it has ended
    return sum(seen.values()) / TICKS


def taken() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime + of_workers()


ray.init(
    ADDRESS,
    log_to_driver=False,
    logging_level="warning",
    runtime_env={"working_dir": FOLDER, "env_vars": {"OMP_NUM_THREADS": "1"}},
)
print(json.dumps({"parts": len(plan), "samples": sum(part.rows for part in plan)}), flush=True)
for line in sys.stdin:
    way = line.strip()
    warm(way)
    before, begun = taken(), time.perf_counter()
    WAYS[way]()
    print(json.dumps({"seconds": time.perf_counter() - begun, "cpu": taken() - before}), flush=True)
