"""Parquet files of results: a row for each sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .checking import Array
from .data import ID
from .files import KEY
from .form import Result
from .joining import samples_first

PIECE = 64 * 2**20
"""Bytes of results that are gathered before they are written."""


@dataclass(frozen=True)
class Column:
    """What a table holds for each sample: a number, or a tensor of this shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def type(self) -> Any:
        """The column's type in Arrow."""
        element = pa.from_numpy_dtype(np.dtype("uint8" if self.dtype == "bool" else self.dtype))
        return element if self.shape == () else pa.fixed_shape_tensor(element, self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


def column_of(result: Result) -> Column:
    """The column of a per-sample result."""
    shape = samples_first(result, np.empty(result.dims(1), np.bool_), 1).shape[1:]
    return Column(result.name, result.dtype, shape)


class Table:
    """A Parquet file of per-sample results, written in pieces. `about` is stored in its metadata."""

    def __init__(self, path: str, columns: Sequence[Column], ids: Any, about: Mapping[str, Any]) -> None:
        self._columns = [each for each in columns if each.size > 0]
        fields = [pa.field(ID, ids.type), *(pa.field(each.name, each.type) for each in self._columns)]
        self._schema = pa.schema(fields, metadata={KEY: json.dumps(dict(about))})
        self._writer = pq.ParquetWriter(path, self._schema)
        self._ids = ids
        self._held: list[list[Array]] = [[] for _ in self._columns]
        self._bytes = 0
        self._rows = 0
        self._done = 0

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None and (self._rows or self._done == 0):
                self._flush()
        finally:
            self._writer.close()

    def add(self, results: Mapping[str, Array], samples: int) -> None:
        """Adds rows: arrays `[samples, ...]` by the columns' names."""
        for each, held in zip(self._columns, self._held, strict=True):
            own = results[each.name]
            held.append(own)
            self._bytes += own.nbytes
        self._rows += samples
        if self._bytes >= PIECE:
            self._flush()

    def _flush(self) -> None:
        arrays = [self._ids.slice(self._done, self._rows)]
        for each, held in zip(self._columns, self._held, strict=True):
            arrays.append(_filled(each, np.concatenate(held)))
            held.clear()
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._done += self._rows
        self._rows = self._bytes = 0


def _filled(column: Column, values: Array) -> Any:
    plain = values.astype(np.uint8) if values.dtype == np.bool_ else values
    if column.shape == ():
        return pa.array(plain, column.type)
    flat = pa.array(np.ascontiguousarray(plain).reshape(-1))
    return pa.ExtensionArray.from_storage(column.type, pa.FixedSizeListArray.from_arrays(flat, column.size))
