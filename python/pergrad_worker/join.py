"""Puts the sums of all parts together."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from .checking import Array
from .errors import PergradError, first_few
from .files import DONE, KEY, SUMS, sums_file, write_json, written
from .form import Joining
from .joining import Sums
from .plan import Identity, Part, missing


def join_sums(out_dir: str, parts: Sequence[Part], of: str | Identity | None = None) -> dict[str, Any]:
    """Adds the parts' sums in float64, in the order of the parts, into `sums.safetensors`; then writes `done.json`.

    For `of` see `missing`. Means are over all samples that count. The order makes the result independent of which part came
    first, so an interrupted run equals one that was not. Returns what `done.json` holds.

    Raises PergradError INVALID_ARGUMENT if a part is missing, or comes from other data or another program.
    """
    require_all(out_dir, parts, of)
    total: Sums | None = None
    for part in parts:
        path = sums_file(out_dir, part.index)
        if not os.path.exists(path):
            continue
        values, count, joinings = _read(path)
        total = total or Sums(joinings)
        whole = next((name for name, each in joinings.items() if each.kind == "whole"), None)
        if whole is not None and len(parts) > 1:
            raise PergradError(
                "INVALID_ARGUMENT",
                f'Results of {len(parts)} parts cannot be put together: "{whole}" takes all samples at once; '
                "give smaller batches, or more memory.",
            )
        total.add_part(values, count)
    done = summary(parts, of)
    if total is not None:
        done["counted"] = total.counted
        with written(os.path.join(out_dir, SUMS)) as aside:
            save_file(
                {name: np.ascontiguousarray(value) for name, value in total.finish().items()},
                aside,
                {"count": str(total.counted)},
            )
    write_json(os.path.join(out_dir, DONE), done)
    return done


def require_all(out_dir: str, parts: Sequence[Part], of: str | Identity | None) -> None:
    """Raises PergradError INVALID_ARGUMENT if a part is missing, or comes from something else."""
    lacking = [part.index for part in missing(parts, out_dir, of)]
    if lacking:
        raise PergradError(
            "INVALID_ARGUMENT",
            f'"{out_dir}" lacks the results of part {first_few(lacking)} (of {len(parts)}); compute what is missing first.',
        )


def summary(parts: Sequence[Part], of: str | Identity | None) -> dict[str, Any]:
    """What `done.json` says about all parts together."""
    identity = of.said if isinstance(of, Identity) else {}
    return {"parts": len(parts), "samples": sum(part.rows for part in parts), **identity}


def _read(path: str) -> tuple[dict[str, Array], int, dict[str, Joining]]:
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said = json.loads(metadata[KEY])
        joinings = {name: Joining(each["kind"], sum=each["sum"]) for name, each in said["joinings"].items()}
        return values, int(said["count"]), joinings
    except Exception as error:
        raise PergradError("FILE_UNREADABLE", f'"{path}" is no readable file of sums: {error}.') from error
