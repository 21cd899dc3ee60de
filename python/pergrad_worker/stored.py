"""Checks that what a file says about its program has the form that pergrad writes: its fields and their types.

Does the same as src/program/stored-checks.ts, with its messages, and checks fields that only this worker reads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .dtypes import NUMPY

Is = Callable[[Any], bool]

ABSENT = object()
"""Stands for a missing field."""


def fault_of(form: Any) -> str | None:
    """What is wrong with a form, as the end of a sentence; None if nothing is."""
    if not isinstance(form, dict):
        return "it is no record"
    for name, (accepts, what) in FIELDS.items():
        if not accepts(form.get(name, ABSENT)):
            return f'"{name}" is {what}'
    return _fault_of_names(form)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _is_factor(value: Any) -> bool:
    return _is_whole(value) and value >= 1


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_dtype(value: Any) -> bool:
    return isinstance(value, str) and value in NUMPY


def _is_dim(value: Any) -> bool:
    """`"N"`, `"N*3"`, or a number."""
    return _is_count(value) or (isinstance(value, str) and re.fullmatch(r"N(\*[0-9]{1,15})?", value) is not None)


def _or(accepts: Is, *others: Any) -> Is:
    return lambda value: any(value is other for other in others) or accepts(value)


def _list_of(accepts: Is) -> Is:
    return lambda value: isinstance(value, list) and all(accepts(each) for each in value)


def _record_of(accepts: Is) -> Is:
    return lambda value: isinstance(value, dict) and all(accepts(each) for each in value.values())


def _with(**fields: Is) -> Is:
    """A record with these fields, and possibly others."""
    return lambda value: (
        isinstance(value, dict) and all(accepts(value.get(name, ABSENT)) for name, accepts in fields.items())
    )


def _range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and bool(value[0] <= value[1])


TYPE: Mapping[str, Is] = {"name": _is_text, "dtype": _is_dtype, "shape": _list_of(_is_dim)}

FIXED: Mapping[str, Is] = {**TYPE, "shape": _list_of(_is_count)}

IGNORED = _or(_is_whole, None, ABSENT)

INPUT = _with(
    **TYPE,
    sampleAxis=_or(_is_count, None),
    lengths=_or(_with(atMost=_or(_is_number, None)), ABSENT),
    labels=_or(
        _list_of(_with(classes=_is_count, ignored=IGNORED, skipsOthers=_or(_is_truth, ABSENT), by=_is_text)), ABSENT
    ),
    rows=_or(_list_of(_with(rows=_is_count, by=_is_text)), ABSENT),
    classes=_or(_with(loss=_is_text, count=_is_count, ignored=IGNORED), ABSENT),
)

JOININGS: Mapping[str, Is] = {
    "samples": _with(at=_with(axis=_is_count, outer=_is_factor, inner=_is_factor)),
    "deviations": _with(sum=_is_text),
    **{kind: _with() for kind in ("sum", "mean", "shared", "whole")},
}

RESULT = _with(**TYPE, want=_or(_is_text, None), path=_list_of(_is_text), parameter=_or(_is_text, None))


def _of_samples(shape: list[Any], axis: int) -> int | None:
    """How many elements an axis has for each sample; None if it is another axis, or there is none."""
    dim = shape[axis] if axis < len(shape) else None
    if not isinstance(dim, str):
        return None
    return 1 if dim == "N" else int(dim[2:])


def _is_input(value: Any) -> bool:
    if not INPUT(value):
        return False
    axis = value["sampleAxis"]
    if axis is None:
        return all(map(_is_count, value["shape"]))
    return bool(_of_samples(value["shape"], axis))


def _is_result(value: Any) -> bool:
    if not RESULT(value):
        return False
    joining = value.get("joining")
    accepts = JOININGS.get(str(joining.get("kind"))) if isinstance(joining, dict) else None
    if accepts is None or not accepts(joining):
        return False
    if joining["kind"] != "samples":
        return True
    at = joining["at"]
    return bool(_of_samples(value["shape"], at["axis"]) == at["outer"] * at["inner"])


FIELDS: Mapping[str, tuple[Is, str]] = {
    "loss": (_is_text, "no text"),
    "weights": (lambda value: value in ("inside", "inputs"), 'neither "inside" nor "inputs"'),
    "inputs": (_list_of(_is_input), "no list of inputs"),
    "unread": (_or(_list_of(_is_input), ABSENT), "no list of inputs"),
    "parameters": (_list_of(_with(**FIXED, differentiated=_is_truth, sha256=_is_text)), "no list of parameters"),
    "wants": (_record_of(_with(kind=_is_text)), "no record of wants"),
    "results": (_list_of(_is_result), "no list of results"),
    "vectors": (
        _list_of(_with(**FIXED, want=_is_text, parameter=_is_text, value=_or(_is_text, None))),
        "no list of vectors",
    ),
    "scalars": (
        _list_of(_with(**FIXED, want=_is_text, scalar=_is_text, initial=_is_number, range=_range)),
        "no list of scalars",
    ),
    "others": (_list_of(_with(**FIXED, want=_is_text)), "no list of other batches"),
    "whole": (_or(_is_text, None), "no reason"),
    "watch": (_or(_with(name=_is_text, bound=_is_number), None), "no result and its bound"),
    "memory": (_list_of(_with(fixed=_is_number, perSample=_is_number, perPair=_is_number)), "no list of bytes"),
    "notFinite": (_is_truth, "neither true nor false"),
}


def _fault_of_names(form: Mapping[str, Any]) -> str | None:
    """Results and wants to which others refer must exist, and no name may stand for two."""
    results = {each["name"]: each for each in form["results"]}
    named = [each["joining"]["sum"] for each in form["results"] if each["joining"]["kind"] == "deviations"]
    named += [form["watch"]["name"]] if form["watch"] is not None else []
    missing = next((name for name in named if name not in results), None)
    if missing is not None:
        return f'it has no result "{missing}", which another field names'
    wanted = next((each["want"] for each in form["results"] if each["want"] not in (None, *form["wants"])), None)
    if wanted is not None:
        return f'it has no want "{wanted}", which a result names'
    fed = [each["name"] for key in ("inputs", "vectors", "scalars", "others") for each in form[key]]
    for names in (fed, [each["name"] for each in form["results"]], [each["name"] for each in form["parameters"]]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            return f'"{twice}" is there twice'
    whole = next((each["name"] for each in form["results"] if each["joining"]["kind"] == "whole"), None)
    if whole is not None and form["whole"] is None:
        return f'"whole" is no reason, but "{whole}" takes all samples at once'
    return None
