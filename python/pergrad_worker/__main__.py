"""`python -m pergrad_worker --program P.onnx --data GLOB --out DIR`: all parts on this machine, without an engine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from safetensors.numpy import load_file

from .errors import PergradError
from .join import join_sums
from .plan import Part, missing, parts, require_parts
from .program import Program, open_program
from .run import PartResult, run_part


def main(argv: Sequence[str] | None = None) -> int:
    """Gives the exit code: 0 done, 1 the program or the data is at fault."""
    options = _options().parse_args(argv)
    try:
        done = run_all(
            options.program,
            options.data,
            options.out,
            workers=options.workers,
            **_settings(options),
        )
    except PergradError as error:
        sys.stderr.write(f"pergrad_worker: {error.message}\n")
        return 1
    sys.stdout.write(f"wrote {options.out}: {done['samples']} samples in {done['parts']} parts\n")
    return 0


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
    count = sum(1 for _ in _computed(program, opened, left, out_dir, workers, settings))
    assert count == len(left)
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


_open: dict[tuple[str, str], Program] = {}


def _run_in_process(program: str, part: Part, out_dir: str, settings: dict[str, Any]) -> PartResult:
    key = (program, settings.get("optimization", "extended"))
    if key not in _open:
        _open[key] = open_program(program, optimization=settings.get("optimization", "extended"))
    return _run(program, part, out_dir, settings, _open[key])


def _run(program: str, part: Part, out_dir: str, settings: dict[str, Any], opened: Program) -> PartResult:
    return run_part(
        program, part.path, part.row_group, out_dir, part.index, first=part.first, program=opened, **settings
    )


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pergrad_worker", description=__doc__)
    parser.add_argument("--program", required=True, help="a file that program.save wrote, .onnx")
    parser.add_argument("--data", required=True, help="a folder or a pattern of Parquet files")
    parser.add_argument("--out", required=True, help="a folder for the results; what is there already is kept")
    parser.add_argument("--workers", type=_count, default=1, help="processes, of one thread each (default: 1)")
    parser.add_argument("--batch-size", type=_count, help="samples at a time (default: as memory allows)")
    parser.add_argument("--ids", help="the column of each sample's id (default: id)")
    parser.add_argument("--scalar", action="append", default=[], metavar="WANT=C", help="a norm to clip to")
    parser.add_argument("--weights", help="a safetensors file, for a program whose weights are inputs")
    parser.add_argument("--shared", help="a safetensors file with the inputs that all samples share")
    parser.add_argument("--allow-not-finite", action="store_true", help="compute even if the data holds NaN")
    parser.add_argument("--not-finite", choices=["throw", "leave out", "ignore"], default="ignore")
    parser.add_argument("--optimization", choices=["extended", "all"], default="extended")
    return parser


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "batch_size": options.batch_size,
        "ids": options.ids,
        "scalars": dict(_scalar(text) for text in options.scalar),
        "weights": load_file(options.weights) if options.weights else None,
        "shared": load_file(options.shared) if options.shared else None,
        "allow_not_finite": options.allow_not_finite,
        "not_finite": options.not_finite,
        "optimization": options.optimization,
    }


def _scalar(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise PergradError("INVALID_ARGUMENT", f'--scalar "{text}" is no WANT=NUMBER; give one.') from None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be a whole number from 1 up")
    return number


if __name__ == "__main__":
    sys.exit(main())
