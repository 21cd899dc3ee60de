"""`python -m pergrad_worker --program P.onnx --data GLOB --out DIR`: all parts on this machine, without an engine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .errors import PergradError
from .local import run_all
from .tasks import MapTask, Task, read_task


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 if done, 1 if the program or the data is at fault."""
    options = _options().parse_args(argv)
    try:
        task = _task(options)
        done = run_all(task, options.workers)
    except PergradError as error:
        sys.stderr.write(f"pergrad_worker: {error.message}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("pergrad_worker: stopped; the parts that are done stay, and the same command goes on.\n")
        return 130
    for note in task.notes():
        sys.stderr.write(f"pergrad_worker: note: {note}\n")
    sys.stdout.write(f"wrote {task.out}: {done['samples']} samples in {done['parts']} parts\n")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pergrad_worker", description=__doc__)
    parser.add_argument("--program", help="a file that program.save wrote, .onnx")
    parser.add_argument("--data", help="a folder or a pattern of Parquet files")
    parser.add_argument("--out", help="a folder for the results; what is there already is kept")
    parser.add_argument("--job", help="in place of these: a folder with job.json, as pergrad sends it to a cluster")
    parser.add_argument("--workers", type=_count, default=1, help="processes, of one thread each (default: 1)")
    parser.add_argument("--batch-size", type=_count, help="samples at a time (default: as memory allows)")
    parser.add_argument("--ids", help="the column of each sample's id (default: id)")
    parser.add_argument("--scalar", action="append", default=[], metavar="WANT=C", help="a norm to clip to")
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="FILE",
        help="a safetensors file with what is fed beside the data, by input name: vectors, the weights of a program "
        "whose weights are inputs, inputs that all samples share",
    )
    parser.add_argument("--allow-not-finite", action="store_true", help="compute even if the data holds NaN")
    parser.add_argument("--not-finite", choices=["throw", "leave out", "ignore"], default="ignore")
    parser.add_argument("--optimization", choices=["extended", "all"], default="extended")
    parser.add_argument(
        "--execution", default="cpu", help="execution providers, the preferred one first: cuda,cpu (default: cpu)"
    )
    return parser


def _task(options: argparse.Namespace) -> Task:
    own = (options.program, options.data, options.out)
    if options.job is not None and own == (None, None, None):
        return read_task(options.job)
    if options.job is not None or None in own:
        raise PergradError("INVALID_ARGUMENT", "Give --program, --data and --out, or --job alone.")
    return MapTask(
        options.program,
        options.data,
        options.out,
        files=tuple(options.given),
        scalars=tuple(_scalar(text) for text in options.scalar),
        batch_size=options.batch_size,
        ids=options.ids,
        allow_not_finite=options.allow_not_finite,
        not_finite=options.not_finite,
        optimization=options.optimization,
        execution=tuple(options.execution.split(",")),
    )


def _scalar(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise PergradError("INVALID_ARGUMENT", f'--scalar "{text}" is no WANT=NUMBER; give one.') from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no whole number from 1 up; give one')
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
