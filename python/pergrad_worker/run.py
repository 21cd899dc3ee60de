"""Computes one part: a row group in, a Parquet file and a file of sums out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from .checking import Array, Prepared, prepare
from .content import content_of
from .data import Rows, read_row_group
from .errors import PergradError, counted_from
from .execution import CPU
from .files import KEY, make_folder, part_file, sums_file, written
from .form import Form, Joining
from .given import Arrays, Given
from .joining import Sums, samples_first, side_by_side
from .plan import Part, description, identity_of
from .program import Batch, NotFiniteMode, Program, open_program
from .session import Optimization
from .table import Table, column_of


@dataclass(frozen=True)
class PartResult:
    """The result of a part."""

    part: int
    samples: int
    counted: int
    """The number of samples in the sums, which is smaller if some are left out."""
    not_finite: tuple[int, ...]
    """The numbers of the rows, in the data set, whose gradients are not finite."""
    seconds: float
    path: str
    sums_path: str | None


def run_part(
    program_path: str,
    data_path: str,
    row_group: int,
    out_dir: str,
    part: int,
    *,
    batch_size: int | None = None,
    scalars: Mapping[str, float] | None = None,
    vectors: Arrays | None = None,
    weights: Arrays | None = None,
    shared: Arrays | None = None,
    ids: str | None = None,
    first: int = 0,
    allow_not_finite: bool = False,
    not_finite: NotFiniteMode = "ignore",
    gram: Sequence[str] = (),
    optimization: Optimization = "extended",
    execution: Sequence[str] = CPU,
) -> PartResult:
    """Computes what a program wants of one row group, and writes it.

    `part-K.parquet` gets a row for each sample: its `id` (the column `ids`, or its number in the data set, from `first`
    on) and each per-sample result under the name of the output, as numbers or fixed-shape tensors.
    `part-K.sums.safetensors` gets the sums in float64, with the number of samples that they are of. Both are written
    aside and renamed, so a part that is computed twice is the same as one computed once. `batch_size` follows from the
    program's memory estimate; `scalars`, `vectors`, `weights` and `shared` are those of `Program.given`. `gram` names
    per-sample results `[N, d]`; the sum over samples of each one's outer product with itself, `[d, d]`, is added up in
    float64 as `NAME/gram`.

    Raises PergradError as `open_program`, `read_row_group` and `Program.compute` do, counting samples from the start of
    the row group. FILE_UNWRITABLE.
    """
    # The number of rows is not known before they are read.
    place = Part(part, data_path, row_group, 0, first)
    program = open_program(program_path, optimization=optimization, execution=execution)
    return compute_part(
        program,
        program.given(scalars=scalars, vectors=vectors, weights=weights, shared=shared),
        place,
        out_dir,
        batch_size=batch_size,
        ids=ids,
        allow_not_finite=allow_not_finite,
        not_finite=not_finite,
        gram=gram,
    )


def compute_part(
    program: Program,
    given: Given,
    part: Part,
    out_dir: str,
    *,
    batch_size: int | None = None,
    ids: str | None = None,
    allow_not_finite: bool = False,
    not_finite: NotFiniteMode = "ignore",
    gram: Sequence[str] = (),
) -> PartResult:
    """Does what `run_part` does, for a program that is open already."""
    begun = time.perf_counter()
    rows, prepared = read_part(program, given, part.path, part.row_group, ids, part.first, allow_not_finite)
    make_folder(out_dir)
    results = side_by_side(program.form)
    sums = Sums(joinings_of(program.form, gram))
    spoilt: list[int] = []
    about = {
        **description(
            replace(part, rows=len(rows.ids)),
            identity_of(program.digest, given, not_finite, program.execution, program.optimization, ids),
        ),
        **content_of(part.path, part.row_group, rows.columns, rows.state),
        "sums": bool(sums.joinings),
    }
    path = part_file(out_dir, part.index)
    with counted_from(part.path, part.row_group), written(path) as aside:
        with Table(aside, [column_of(each) for each in results], rows.ids, about) as table:
            for batch in program.batches(prepared, given, batch_size=batch_size, not_finite=not_finite):
                own = {each.name: samples_first(each, batch.results[each.name], batch.samples) for each in results}
                sums.add({**batch.results, **_grams(own, gram, batch)}, batch.counted)
                spoilt += [batch.start + n for n in batch.spoilt]
                table.add(own, batch.samples)
        # The part is done when its Parquet file is there, so that comes last.
        sums_path = _write_sums(sums, sums_file(out_dir, part.index), about) if sums.joinings else None
    return PartResult(
        part.index,
        prepared.samples,
        sums.counted,
        tuple(part.first + n for n in spoilt),
        time.perf_counter() - begun,
        path,
        sums_path,
    )


def read_part(
    program: Program, given: Given, path: str, row_group: int, ids: str | None, first: int, allow_not_finite: bool
) -> tuple[Rows, Prepared]:
    """The rows of a row group, and what the program is fed for them."""
    rows = read_row_group(path, row_group, program.form, ids=ids, first=first, shared=given.shared)
    with counted_from(path, row_group):
        prepared = prepare(program.form, rows.data, allow_not_finite=allow_not_finite)
        if prepared.samples != len(rows.ids):
            raise PergradError(
                "BATCH_MISMATCH",
                f"The inputs hold {prepared.samples} samples, but there are {len(rows.ids)} rows; give one for each.",
            )
    return rows, prepared


def joinings_of(form: Form, gram: Sequence[str]) -> dict[str, Joining]:
    """How results are joined, including the sums for `gram`."""
    return {each.name: each.joining for each in form.results} | {f"{name}/gram": Joining("sum") for name in gram}


def _grams(results: Mapping[str, Array], names: Sequence[str], batch: Batch) -> dict[str, Array]:
    """The sums of outer products over the samples that count."""
    left_out = batch.spoilt if batch.counted < batch.samples else ()
    rows = {name: np.delete(results[name], left_out, axis=0).astype(np.float64) for name in names}
    return {f"{name}/gram": value.T @ value for name, value in rows.items()}


def _write_sums(sums: Sums, path: str, about: Mapping[str, Any]) -> str:
    joinings = {name: {"kind": each.kind, "sum": each.sum} for name, each in sums.joinings.items()}
    # Under one key: the format writes several in any order, and the same part is to be the same file.
    metadata = {KEY: json.dumps({**about, "count": sums.counted, "joinings": joinings})}
    with written(path) as aside:
        save_file({name: np.ascontiguousarray(value) for name, value in sums.values.items()}, aside, metadata)
    return path
