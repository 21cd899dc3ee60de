"""Which parts there are, one for each row group, and which of them are still to be computed."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from .errors import PergradError
from .files import digest, part_file, sums_file
from .form import Form
from .joining import require_apart

KEY = b"pergrad.part"
"""The key of what a part's file says of itself."""


@dataclass(frozen=True)
class Part:
    """One row group of one file: the `index`-th of all, whose first row is the row `first` of the whole data set."""

    index: int
    path: str
    row_group: int
    rows: int
    first: int


def parts(data: str | Sequence[str]) -> list[Part]:
    """All row groups of the files that a glob (or a folder, or a list of paths) names, in order of path and place.

    Raises PergradError FILE_UNREADABLE.
    """
    found: list[Part] = []
    first = 0
    for path in _paths(data):
        try:
            metadata = pq.read_metadata(path)
        except Exception as error:
            text = str(error).split("\n")[0].rstrip(".")
            raise PergradError("FILE_UNREADABLE", f'"{path}" is no readable Parquet file: {text}.') from error
        for row_group in range(metadata.num_row_groups):
            rows = metadata.row_group(row_group).num_rows
            found.append(Part(len(found), path, row_group, rows, first))
            first += rows
    return found


def missing(parts: Sequence[Part], out_dir: str, program_path: str | None = None) -> list[Part]:
    """The parts whose results are not in the folder.

    With `program_path`, results that are there must be that program's.

    Raises PergradError INVALID_ARGUMENT where a part there is of other data or of another program.
    """
    program = digest(program_path) if program_path is not None else None
    return [part for part in parts if not _is_there(part, out_dir, program)]


def require_parts(form: Form, parts: Sequence[Part]) -> None:
    """Raises PergradError INVALID_ARGUMENT where there are several parts, but results that take all samples at once."""
    if len(parts) > 1:
        require_apart(form, f"Data of {len(parts)} row groups cannot be computed one by one")


def description(part: Part, program: str) -> dict[str, Any]:
    """What a part's file says of itself. `program` is the digest of the program's file."""
    return {
        "program": program,
        "data": os.path.basename(part.path),
        "row_group": part.row_group,
        "rows": part.rows,
        "first": part.first,
    }


def _is_there(part: Part, out_dir: str, program: str | None) -> bool:
    path = part_file(out_dir, part.index)
    if not os.path.exists(path):
        return False
    try:
        said = json.loads((pq.read_schema(path).metadata or {})[KEY])
    except Exception:
        return False
    expected = description(part, program or said.get("program", ""))
    wrong = next((key for key, value in expected.items() if said.get(key) != value), None)
    if wrong is not None:
        what = "another program" if wrong == "program" else "other data"
        raise PergradError(
            "INVALID_ARGUMENT",
            f'"{path}" holds results of {what}; give another folder for these, or empty it.',
        )
    return not said.get("sums", False) or os.path.exists(sums_file(out_dir, part.index))


def _paths(data: str | Sequence[str]) -> list[str]:
    if not isinstance(data, str):
        return list(data)
    if os.path.isdir(data):
        data = os.path.join(glob.escape(data), "*.parquet")
    found = sorted(glob.glob(data, recursive=True))
    if not found:
        raise PergradError("FILE_UNREADABLE", f'No file matches "{data}"; give a folder or a pattern of Parquet files.')
    return found
