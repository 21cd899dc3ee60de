"""A program over Parquet on Dask: on_dask.py PROGRAM.onnx DATA_FOLDER OUT [SCHEDULER_ADDRESS].

There is one task for each row group. `pure=False` and the part's own files make a task safe to run again; if a worker dies,
another runs its tasks. Without an address, processes of one thread each on this machine compute.
"""

from __future__ import annotations

import sys

from dask.distributed import Client, as_completed

from pergrad_worker import join_sums, missing, open_program, parts, require_parts, run_part


def main(program: str, data: str, out: str, scheduler: str | None = None) -> None:
    plan = parts(data)
    require_parts(open_program(program).form, plan)
    with (
        Client(scheduler) if scheduler else Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client
    ):
        tasks = [
            client.submit(
                run_part, program, part.path, part.row_group, out, part.index, first=part.first, pure=False, retries=3
            )
            for part in missing(plan, out, program)
        ]
        for done, task in enumerate(as_completed(tasks), 1):
            task.result()  # throws what the task threw
            print(f"{done} of {len(tasks)} parts")
    print(join_sums(out, plan, program))


if __name__ == "__main__":
    main(*sys.argv[1:])
