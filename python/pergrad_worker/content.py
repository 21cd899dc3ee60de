"""Identifies the bytes behind a part's results, so that results of other data under the same name are not reused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from .errors import PergradError, reading

CONTENT = ("file", "columns", "content")
"""What a part's file says about its data."""

PIECE = 2**20
"""Bytes that are read at a time."""


def state_of(path: str) -> list[Any]:
    """Tells a file from others at its path, and from itself before a change: its path, its size, and when it was changed.

    The last time is one that no program sets: a folder of files that is put in place of another keeps all others.
    """
    found = os.stat(path)
    return [os.path.realpath(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def content_of(path: str, row_group: int, columns: Sequence[str], state: Sequence[Any]) -> dict[str, Any]:
    """What a part's file says about its source data. `state`: the state of the data's file before it was read.

    The digest covers what the file holds of these columns, as it is stored, with their types and scales, and the names
    of all columns, because a new column may be one that is read.

    Raises PergradError FILE_UNREADABLE, also if the file is no longer the one that was read.
    """
    with reading(path, row_group):
        digest = _digest(path, row_group, columns)
        if state_of(path) != state:
            raise PergradError(
                "FILE_UNREADABLE", f'"{path}" was changed while it was read; leave it as it is, and repeat the call.'
            )
    return {"file": state, "columns": list(columns), "content": digest}


def is_of(said: Mapping[str, Any], path: str, row_group: int, written: str) -> bool:
    """Whether the results in the file `written`, which says this about itself, belong to what the row group holds now.

    The data is read again only if its file has changed since, or is another one. Raises PergradError FILE_UNREADABLE.
    """
    with reading(path, row_group):
        state = state_of(path)
        # If times are in whole seconds, a change may not show in the data's time.
        if said.get("file") == state and max(state[2:]) < os.stat(written).st_mtime_ns:
            return True
        return bool(said.get("content") == _digest_once(tuple(state), row_group, tuple(said.get("columns", []))))


@cache
def _digest_once(state: tuple[Any, ...], row_group: int, columns: tuple[str, ...]) -> str:
    """Reads the data once per process while its file stays the same: a run looks for existing results several times."""
    return _digest(state[0], row_group, columns)


def _digest(path: str, row_group: int, columns: Sequence[str]) -> str:
    sha = hashlib.sha256()
    with pq.ParquetFile(path) as file, open(path, "rb") as raw:
        schema = file.schema_arrow
        kinds = [[name, *(str(schema.field(k).type) for k in schema.get_all_field_indices(name))] for name in columns]
        scales = {key: repr(value) for key, value in scaling_of(file).items() if _is_scale(key, columns)}
        sha.update(json.dumps([schema.names, kinds, scales], sort_keys=True).encode())
        group = file.metadata.row_group(row_group)
        for k in range(group.num_columns):
            chunk = group.column(k)
            if any(chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.") for name in columns):
                # Pages of a dictionary come before those of the data.
                start = min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset)
                _add(sha, raw, start, chunk.total_compressed_size)
    return sha.hexdigest()


def scaling_of(file: pq.ParquetFile) -> dict[str, bytes]:
    """The key-value metadata of a Parquet file, which include the scales of bytes."""
    every = {**(file.schema_arrow.metadata or {}), **(file.metadata.metadata or {})}
    return {key.decode(errors="replace"): value for key, value in every.items()}


def _is_scale(key: str, columns: Sequence[str]) -> bool:
    return any(key in (f"{name}.scale", f"{name}.offset") for name in columns)


def _add(sha: Any, raw: BinaryIO, start: int, length: int) -> None:
    raw.seek(start)
    while length > 0 and (piece := raw.read(min(PIECE, length))):
        sha.update(piece)
        length -= len(piece)
