"""Lists the parts, one for each row group, and finds those that are still to be computed."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
from safetensors import safe_open

from .content import is_of
from .data import ID, id_column
from .errors import PergradError
from .execution import CPU
from .files import KEY, digest, part_file, sums_file
from .form import Form
from .given import Given
from .joining import require_apart


@dataclass(frozen=True)
class Part:
    """One row group of one file: the `index`-th of all, whose first row is the row `first` of the whole data set."""

    index: int
    path: str
    row_group: int
    rows: int
    first: int


def parts(data: str | Sequence[str], ids: str | None = None) -> list[Part]:
    """All row groups of the files that a glob (or a folder, or a list of paths) names, in order of path and place.

    Files whose names begin with `.` or `_` are left out, unless the pattern's does. `ids` is the column of the samples' ids, as
    `run_part` takes it.

    Raises PergradError: FILE_UNREADABLE; MISSING_TENSOR (a file has no such column), INVALID_ARGUMENT (some files have a
    column `id`, others have none).
    """
    found: list[Part] = []
    named: dict[bool, str] = {}
    first = 0
    for path in _paths(data):
        try:
            metadata = pq.read_metadata(path)
            columns = metadata.schema.to_arrow_schema().names
        except Exception as error:
            text = str(error).split("\n")[0].rstrip(".")
            raise PergradError("FILE_UNREADABLE", f'"{path}" is no readable Parquet file: {text}.') from error
        named.setdefault(id_column(path, columns, ids) is not None, path)
        if len(named) > 1:
            raise PergradError(
                "INVALID_ARGUMENT",
                f'"{named[True]}" has a column "{ID}" and "{named[False]}" has none; name the samples of all files, '
                "or of none.",
            )
        for row_group in range(metadata.num_row_groups):
            rows = metadata.row_group(row_group).num_rows
            found.append(Part(len(found), path, row_group, rows, first))
            first += rows
    return found


@dataclass(frozen=True)
class Identity:
    """Says what results were computed from, so that others are not taken for them."""

    program: str
    """The digest of the program's file."""
    given: str | None = None
    """The digest of what it was fed beside its data."""
    settings: str | None = None
    """How it was run, in words, as far as that changes results."""

    @property
    def said(self) -> dict[str, str]:
        """The same, as files hold it."""
        every = {"program": self.program, "given": self.given, "settings": self.settings}
        return {key: value for key, value in every.items() if value is not None}


def identity_of(
    program: str,
    given: Given,
    not_finite: str = "ignore",
    execution: Sequence[str] = CPU,
    optimization: str = "extended",
    ids: str | None = None,
) -> Identity:
    """`program`: the digest of the program's file."""
    more = [] if not_finite == "ignore" else [f"not finite: {not_finite}"]
    settings = said_of(execution, optimization, ids, *more)
    return Identity(program, given.digest, settings)


def said_of(execution: Sequence[str], optimization: str, ids: str | None, *more: str) -> str | None:
    """How a program is run, in words, as far as that changes results; None if all settings are the usual ones."""
    usual = [
        *([] if execution[0] == "cpu" else [f"on {execution[0]}"]),
        *([] if optimization == "extended" else [f"optimization: {optimization}"]),
        *([] if ids in (None, ID) else [f"ids: {ids}"]),
    ]
    return "; ".join([*more, *usual]) or None


def missing(parts: Sequence[Part], out_dir: str, of: str | Identity | None = None) -> list[Part]:
    """Those of all `parts` whose results are not in the folder.

    With `of`, the results that are there must come from this program (a path), fed nothing beside its data, or have this
    identity.

    Raises PergradError INVALID_ARGUMENT if a part that is there comes from other data, another program or other values.
    """
    identity = Identity(digest(of)) if isinstance(of, str) else of
    _require_no_others(parts, out_dir)
    return [part for part in parts if not _is_there(part, out_dir, identity)]


def require_parts(form: Form, parts: Sequence[Part]) -> None:
    """Raises PergradError INVALID_ARGUMENT if there are several parts, but a result needs all samples at once."""
    if len(parts) > 1:
        require_apart(form, f"Data of {len(parts)} row groups cannot be computed one by one")


def description(part: Part, identity: Identity) -> dict[str, Any]:
    """What a part's file says about it."""
    return {
        **identity.said,
        "data": os.path.basename(part.path),
        "row_group": part.row_group,
        "rows": part.rows,
        "first": part.first,
    }


OTHERWISE = {"program": "another program", "given": "other values beside the data", "settings": "other settings"}


def _is_there(part: Part, out_dir: str, identity: Identity | None) -> bool:
    path = part_file(out_dir, part.index)
    if not os.path.exists(path):
        return False
    try:
        said = json.loads((pq.read_schema(path).metadata or {})[KEY.encode()])
    except Exception:
        return False
    expected = description(part, identity or Identity(""))
    keys = [*(OTHERWISE if identity else ()), *(key for key in expected if key not in OTHERWISE)]
    wrong = next((key for key in keys if said.get(key) != expected.get(key)), None)
    if wrong is None and not is_of(said, part.path, part.row_group, path):
        wrong = "content"
    if wrong is not None:
        raise _of_others(path, OTHERWISE.get(wrong, "other data"))
    return not said.get("sums", False) or _sums_of(said, sums_file(out_dir, part.index))


def _sums_of(said: dict[str, Any], path: str) -> bool:
    """Whether a part's sums are there, and were written with its other results."""
    try:
        with safe_open(path, "np") as file:
            sums = json.loads((file.metadata() or {})[KEY])
    except Exception:
        return False
    return all(sums.get(key) == value for key, value in said.items())


def _require_no_others(parts: Sequence[Part], out_dir: str) -> None:
    """Raises PergradError INVALID_ARGUMENT if the folder has parts that come after the last."""
    names = os.listdir(out_dir) if os.path.isdir(out_dir) else []
    known = {os.path.basename(part_file(out_dir, part.index)) for part in parts}
    other = next(
        (name for name in sorted(names) if re.fullmatch(r"part-\d+\.parquet", name) and name not in known), None
    )
    if other is not None:
        raise _of_others(os.path.join(out_dir, other), "other data")


def _of_others(path: str, what: str) -> PergradError:
    return PergradError(
        "INVALID_ARGUMENT", f'"{path}" holds results of {what}; give another folder for these, or empty it.'
    )


def _paths(data: str | Sequence[str]) -> list[str]:
    if not isinstance(data, str):
        return list(data)
    folder = data if os.path.isdir(data) else None
    pattern = data if folder is None else os.path.join(glob.escape(folder), "*.parquet")
    found = sorted(glob.glob(pattern, recursive=True))
    if not os.path.basename(pattern).startswith("_"):
        # What engines write beside their tables.
        found = [path for path in found if not os.path.basename(path).startswith("_")]
    if found:
        return found
    if folder is None and not glob.has_magic(data):
        raise PergradError(
            "FILE_UNREADABLE",
            f'Cannot read "{data}": it does not exist; give a folder or a pattern of Parquet files.',
        )
    within = glob.glob(os.path.join(glob.escape(folder), "**", "*.parquet"), recursive=True) if folder else []
    advice = (
        f'its subfolders hold some, which "{os.path.join(folder, "**", "*.parquet")}" names'
        if folder and within
        else "give a folder or a pattern of Parquet files"
    )
    raise PergradError("FILE_UNREADABLE", f'No file matches "{pattern}"; {advice}.')
