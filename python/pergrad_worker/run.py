"""Computes one part: a row group in, a Parquet file and a file of sums out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from .checking import Array
from .data import ID, read_row_group
from .errors import NotFinite, PergradError
from .files import part_file, sums_file, written
from .form import Form, Result
from .joining import Sums, samples_first, side_by_side
from .plan import KEY, Part, description
from .program import NotFiniteMode, Program, open_program
from .session import Optimization

PIECE = 64 * 2**20
"""Bytes of results that are gathered before they are written."""


@dataclass(frozen=True)
class PartResult:
    """What a part came to."""

    part: int
    samples: int
    counted: int
    """The samples that sums are of: fewer where some are left out."""
    not_finite: tuple[int, ...]
    """The rows of the data set whose gradients are not finite."""
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
    vectors: Mapping[str, Array] | None = None,
    weights: Mapping[str, Array] | None = None,
    shared: Mapping[str, Array] | None = None,
    ids: str | None = None,
    first: int = 0,
    allow_not_finite: bool = False,
    not_finite: NotFiniteMode = "ignore",
    optimization: Optimization = "extended",
    program: Program | None = None,
) -> PartResult:
    """Computes what a program wants of one row group, and writes it.

    `part-K.parquet` gets a row for each sample: its `id` (the column `ids`, or its number in the data set, from `first`
    on) and each per-sample result under the name of the output, as numbers or fixed-shape tensors.
    `part-K.sums.safetensors` gets the sums in float64, with the number of samples that they are of. Both are written
    aside and renamed, so a part that is computed twice is the same as one computed once. `batch_size` follows from the
    program's memory estimate; `scalars`, `vectors` and `weights` are those of `Program.given`, and `shared` has the
    inputs that all samples share. `program` is one that is open already, of the same path.

    Raises PergradError as `open_program`, `read_row_group` and `Program.compute` do, counting samples from the start of
    the row group. FILE_UNWRITABLE.
    """
    begun = time.perf_counter()
    opened = program or open_program(program_path, optimization=optimization)
    given = opened.given(scalars=scalars, vectors=vectors, weights=weights)
    rows = read_row_group(data_path, row_group, opened.form, ids=ids, first=first, shared=shared)
    os.makedirs(out_dir, exist_ok=True)
    sums = Sums({each.name: each.joining for each in opened.form.results})
    spoilt: list[int] = []
    said = Part(part, data_path, row_group, len(rows.ids), first)
    about = {**description(said, opened.digest), "sums": bool(sums.joinings)}
    path = part_file(out_dir, part)
    with _counted_from(data_path, row_group):
        prepared = opened.prepare(rows.data, allow_not_finite=allow_not_finite)
        if prepared.samples != len(rows.ids):
            raise PergradError(
                "BATCH_MISMATCH",
                f"The inputs hold {prepared.samples} samples, but there are {len(rows.ids)} rows; give one for each.",
            )
        with written(path) as aside:
            with _Table(aside, opened.form, rows.ids, about) as table:
                for batch in opened.batches(prepared, given, batch_size=batch_size, not_finite=not_finite):
                    sums.add(batch.results, batch.counted)
                    spoilt += [batch.start + n for n in batch.spoilt]
                    table.add(batch.results, batch.samples)
            # The part is done when its Parquet file is there, so that comes last.
            sums_path = _write_sums(sums, sums_file(out_dir, part), about) if sums.joinings else None
    return PartResult(
        part,
        prepared.samples,
        sums.counted,
        tuple(first + n for n in spoilt),
        time.perf_counter() - begun,
        path,
        sums_path,
    )


class _Table:
    """A Parquet file of per-sample results, written in pieces."""

    def __init__(self, path: str, form: Form, ids: Any, about: Mapping[str, Any]) -> None:
        self._columns = [each for each in side_by_side(form) if _sample_size(each) > 0]
        fields = [pa.field(ID, ids.type), *(pa.field(each.name, _type(each)) for each in self._columns)]
        self._schema = pa.schema(fields, metadata={KEY: json.dumps(dict(about)).encode()})
        self._writer = pq.ParquetWriter(path, self._schema)
        self._ids = ids
        self._held: list[list[Array]] = [[] for _ in self._columns]
        self._bytes = 0
        self._rows = 0
        self._done = 0

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None and (self._rows or self._done == 0):
                self._flush()
        finally:
            self._writer.close()

    def add(self, results: Mapping[str, Array], samples: int) -> None:
        for each, held in zip(self._columns, self._held, strict=True):
            own = samples_first(each, results[each.name], samples)
            held.append(own)
            self._bytes += own.nbytes
        self._rows += samples
        if self._bytes >= PIECE:
            self._flush()

    def _flush(self) -> None:
        arrays = [self._ids.slice(self._done, self._rows)]
        for each, held in zip(self._columns, self._held, strict=True):
            arrays.append(_column(np.concatenate(held), _type(each)))
            held.clear()
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._done += self._rows
        self._rows = self._bytes = 0


class _counted_from:
    """Adds to an error where its samples are counted from."""

    def __init__(self, path: str, row_group: int) -> None:
        self._where = f'In row group {row_group} of "{os.path.basename(path)}", counted from its start: '

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, NotFinite):
            raise NotFinite(self._where + error.message, error.samples) from error
        if isinstance(error, PergradError) and error.code != "FILE_UNWRITABLE":
            raise PergradError(error.code, self._where + error.message) from error


def _sample_size(result: Result) -> int:
    return int(np.prod(result.dims(1)))


def _sample_shape(result: Result) -> tuple[int, ...]:
    return samples_first(result, np.empty(result.dims(1), np.bool_), 1).shape[1:]


def _type(result: Result) -> Any:
    dtype = "uint8" if result.dtype == "bool" else result.dtype
    element = pa.from_numpy_dtype(np.dtype(dtype))
    shape = _sample_shape(result)
    return element if shape == () else pa.fixed_shape_tensor(element, shape)


def _column(values: Array, kind: Any) -> Any:
    plain = values.astype(np.uint8) if values.dtype == np.bool_ else values
    if not isinstance(kind, pa.FixedShapeTensorType):
        return pa.array(plain, kind)
    flat = pa.array(np.ascontiguousarray(plain).reshape(-1))
    size = int(np.prod(plain.shape[1:]))
    return pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, size))


def _write_sums(sums: Sums, path: str, about: Mapping[str, Any]) -> str:
    joinings = {name: {"kind": each.kind, "sum": each.sum} for name, each in sums.joinings.items()}
    # Under one key: the format writes several in any order, and the same part is to be the same file.
    metadata = {KEY.decode(): json.dumps({**about, "count": sums.counted, "joinings": joinings})}
    with written(path) as aside:
        save_file({name: np.ascontiguousarray(value) for name, value in sums.values.items()}, aside, metadata)
    return path
