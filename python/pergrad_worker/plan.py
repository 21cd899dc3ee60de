"""Lists the parts, one for each row group, and finds those that are still to be computed."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from .errors import PergradError
from .execution import CPU
from .files import digest, part_file, sums_file
from .form import Form
from .given import Given
from .joining import require_apart

KEY = b"pergrad.part"
"""The key of what a part's file says about it."""


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
) -> Identity:
    """`program`: the digest of the program's file."""
    settings = said_of(execution, optimization, *([] if not_finite == "ignore" else [f"not finite: {not_finite}"]))
    return Identity(program, given.digest, settings)


def said_of(execution: Sequence[str], optimization: str, *more: str) -> str | None:
    """How a program is run, in words, as far as that changes results; None if all settings are the usual ones."""
    usual = [
        *([] if execution[0] == "cpu" else [f"on {execution[0]}"]),
        *([] if optimization == "extended" else [f"optimization: {optimization}"]),
    ]
    return "; ".join([*more, *usual]) or None


def missing(parts: Sequence[Part], out_dir: str, of: str | Identity | None = None) -> list[Part]:
    """The parts whose results are not in the folder.

    With `of`, the results that are there must come from this program (a path), fed nothing beside its data, or have this
    identity.

    Raises PergradError INVALID_ARGUMENT if a part that is there comes from other data, another program or other values.
    """
    identity = Identity(digest(of)) if isinstance(of, str) else of
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
        said = json.loads((pq.read_schema(path).metadata or {})[KEY])
    except Exception:
        return False
    expected = description(part, identity or Identity(""))
    keys = [*(OTHERWISE if identity else ()), *(key for key in expected if key not in OTHERWISE)]
    wrong = next((key for key in keys if said.get(key) != expected.get(key)), None)
    if wrong is not None:
        raise PergradError(
            "INVALID_ARGUMENT",
            f'"{path}" holds results of {OTHERWISE.get(wrong, "other data")}; '
            "give another folder for these, or empty it.",
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
