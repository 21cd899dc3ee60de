"""The scores of all parts in one file, as `pergrad attribute` writes them on one machine."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .checking import Array
from .data import ID
from .files import DONE, part_file, write_json, written
from .join import require_all, summary
from .plan import Identity, Part

SCORES = "scores"
"""The column of parts, and the tensor of all."""
FILE = "scores.safetensors"

MOST = 16 * 2**30
"""The largest file, in bytes. If it would be larger, it is not written, and only the parts hold the scores."""


def join_scores(out_dir: str, plan: Sequence[Part], identity: Identity, queries: int, named: bool) -> dict[str, Any]:
    """Writes `scores` `[queries, N]`, float64, and, if the data names its samples, `ids` `[N]`; then `done.json`.

    Raises PergradError: INVALID_ARGUMENT if a part is missing, FILE_UNWRITABLE.
    """
    require_all(out_dir, plan, identity)
    samples = sum(part.rows for part in plan)
    done = {**summary(plan, identity), "queries": queries}
    if 8 * queries * samples <= MOST:
        with written(os.path.join(out_dir, FILE)) as aside:
            _write(aside, out_dir, plan, (queries, samples), _ids(out_dir, plan) if named else None)
    write_json(os.path.join(out_dir, DONE), done)
    return done


def _write(path: str, out_dir: str, plan: Sequence[Part], dims: tuple[int, int], ids: Array | None) -> None:
    layout: dict[str, tuple[str, tuple[int, ...]]] = {SCORES: ("F64", dims)}
    if ids is not None:
        layout["ids"] = ("U8" if ids.dtype == np.uint8 else "I64", ids.shape)
    start, ends = _header(path, layout)
    if math.prod(dims) > 0:
        scores = np.memmap(path, np.float64, "r+", offset=start, shape=dims)
        for part, values in _read(out_dir, plan, SCORES):
            if len(values):
                scores[:, part.first : part.first + part.rows] = _numbers(values).T
        scores.flush()
    if ids is not None:
        with open(path, "rb+") as file:
            file.seek(start + ends[SCORES])
            file.write(np.ascontiguousarray(ids).tobytes())


def _header(path: str, layout: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[int, dict[str, int]]:
    """Writes a file of zeros. Returns where its data starts and, counted from there, where each tensor ends."""
    sizes = {"F64": 8, "I64": 8, "U8": 1}
    header: dict[str, Any] = {}
    ends: dict[str, int] = {}
    at = 0
    for name, (dtype, shape) in layout.items():
        ends[name] = at + sizes[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, ends[name]]}
        at = ends[name]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return 8 + len(text), ends


def _read(out_dir: str, plan: Sequence[Part], column: str) -> Iterator[tuple[Part, Any]]:
    for part in plan:
        table = pq.read_table(part_file(out_dir, part.index), columns=[column])
        yield part, table.column(column).combine_chunks()


def _numbers(values: Any) -> Array:
    return np.asarray(values.to_numpy_ndarray())


def _ids(out_dir: str, plan: Sequence[Part]) -> Array:
    """Numbers `[N]`; or texts in UTF-8, `[N, length]`, padded with zeros."""
    columns = [values for _, values in _read(out_dir, plan, ID)]
    if all(map(_are_in_int64, columns)):
        return np.concatenate([np.asarray(values.to_numpy(zero_copy_only=False), np.int64) for values in columns])
    own = (each for values in columns for each in values.to_pylist())
    texts = [each if isinstance(each, bytes) else str(each).encode() for each in own]
    length = max((len(text) for text in texts), default=0)
    return np.frombuffer(b"".join(text.ljust(length, b"\0") for text in texts), np.uint8).reshape(len(texts), length)


def _are_in_int64(values: Any) -> bool:
    if values.type == pa.uint64() and len(values) > 0:
        return bool(pc.max(values).as_py() < 2**63)
    return bool(pa.types.is_integer(values.type))
