"""A plain loop over the parts of a job, without Ray: loop.py FOLDER.

Reads lines "K/M" from the standard input, computes part K of every M, and answers with a line of JSON: seconds by the clock,
and seconds of CPU time.
"""

from __future__ import annotations

import json
import os
import sys
import time

FOLDER = sys.argv[1]
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, FOLDER)

from pergrad_worker.tasks import read_task  # noqa: E402

task = read_task(FOLDER)
plan = task.plan()
print(json.dumps({"parts": len(plan)}), flush=True)
for line in sys.stdin:
    first, step = map(int, line.split("/"))
    before, begun = time.process_time(), time.perf_counter()
    for part in plan[first::step]:
        task.compute(part)
    print(json.dumps({"seconds": time.perf_counter() - begun, "cpu": time.process_time() - before}), flush=True)
