"""Reads and checks the metadata `pergrad.program`, in which a saved program describes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import PergradError
from .stored import fault_of

KEY = "pergrad.program"
VERSION = 2

Dim = int | tuple[int]
"""A size; or `(k,)`, k times the batch size."""

JoiningKind = Literal["samples", "sum", "mean", "deviations", "shared", "whole"]


@dataclass(frozen=True)
class Type:
    """A tensor of the file. In `shape`, `(k,)` stands for k times the batch size."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    def dims(self, samples: int) -> tuple[int, ...]:
        """The shape for a batch of this many samples."""
        return tuple(dim[0] * samples if isinstance(dim, tuple) else dim for dim in self.shape)

    def show(self) -> str:
        """The shape as messages write it: `[N, 3]`."""
        return "[" + ", ".join(_show(dim) for dim in self.shape) + "]"

    @property
    def batched(self) -> bool:
        """Whether an axis grows with the batch."""
        return any(isinstance(dim, tuple) for dim in self.shape)


@dataclass(frozen=True)
class LabelLimit:
    """Labels that a node of the model looks up: 0 to classes - 1, and `ignored`."""

    classes: int
    ignored: int | None
    skips_others: bool
    by: str


@dataclass(frozen=True)
class RowLimit:
    """Indices of rows of a table that a node of the model reads: 0 to rows - 1."""

    rows: int
    by: str


@dataclass(frozen=True)
class ClassLimit:
    """Class labels of the loss: 0 to count - 1, and `ignored`."""

    loss: str
    count: int
    ignored: int | None


@dataclass(frozen=True)
class Input(Type):
    """Data that is fed, the target included."""

    sample_axis: int | None
    at_most: float | None = None
    labels: tuple[LabelLimit, ...] = ()
    rows: tuple[RowLimit, ...] = ()
    classes: ClassLimit | None = None


@dataclass(frozen=True)
class Joining:
    """How the results of two batches become one."""

    kind: JoiningKind
    axis: int = 0
    outer: int = 1
    inner: int = 1
    sum: str | None = None


@dataclass(frozen=True)
class Result(Type):
    """An output of the file."""

    want: str | None
    path: tuple[str, ...]
    parameter: str | None
    joining: Joining


@dataclass(frozen=True)
class Parameter(Type):
    """A parameter that the program reads."""

    differentiated: bool
    sha256: str


@dataclass(frozen=True)
class Vector(Type):
    """A want's input in a parameter's shape. `value` is the metadata's key that holds its numbers, if there are any."""

    want: str
    parameter: str
    value: str | None


@dataclass(frozen=True)
class Scalar(Type):
    """A want's input that is one number."""

    want: str
    scalar: str
    initial: float
    range: tuple[float, float]


@dataclass(frozen=True)
class Other(Type):
    """A want's input that takes what another batch gives."""

    want: str


@dataclass(frozen=True)
class Bytes:
    """Bytes as a function of the batch size N: fixed + per_sample * N + per_pair * N * N."""

    fixed: float
    per_sample: float
    per_pair: float

    def at(self, samples: int) -> float:
        return self.fixed + samples * (self.per_sample + samples * self.per_pair)


@dataclass(frozen=True)
class Form:
    """A program as its file describes it."""

    loss: str
    weights: Literal["inside", "inputs"]
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    wants: Mapping[str, Mapping[str, Any]]
    results: tuple[Result, ...]
    vectors: tuple[Vector, ...]
    scalars: tuple[Scalar, ...]
    others: tuple[Other, ...]
    whole: str | None
    memory: tuple[Bytes, ...]
    raw: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    def bytes_at(self, samples: int) -> float:
        """Bytes that a run of this many samples takes beyond its data, the parameters and the loaded program."""
        return max((moment.at(samples) for moment in self.memory), default=0)


def read_form(text: str | None, file_name: str) -> Form:
    """The form in a file's metadata.

    Raises PergradError: INVALID_ARGUMENT (no saved program, or one of another version), INVALID_MODEL (damaged).
    """
    if text is None:
        raise PergradError(
            "INVALID_ARGUMENT",
            f'"{file_name}" is not a program that pergrad saved with what it needs to run it; '
            "compile the model again and save it.",
        )
    try:
        form = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise damaged(file_name, "it is no JSON") from None
    version = form.get("version") if isinstance(form, dict) else None
    if version != VERSION:
        raise PergradError(
            "INVALID_ARGUMENT",
            f'"{file_name}" holds a program of version {version}, and this pergrad reads version {VERSION}; '
            "compile the model again and save it.",
        )
    fault = fault_of(form)
    if fault is not None:
        raise damaged(file_name, fault)
    return _form(form)


def _no_constant(text: str) -> None:
    """NaN and infinity are no JSON."""
    raise ValueError(text)


def damaged(file_name: str, what: str) -> PergradError:
    """The error of a file whose metadata do not fit its program."""
    return PergradError(
        "INVALID_MODEL", f'The description of the program in "{file_name}" is damaged: {what}; save the program again.'
    )


def _show(dim: Dim) -> str:
    if isinstance(dim, tuple):
        return "N" if dim[0] == 1 else f"N*{dim[0]}"
    return str(dim)


def _dim(spec: int | str) -> Dim:
    if isinstance(spec, int):
        return spec
    return (1,) if spec == "N" else (int(spec[2:]),)


def _type(each: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": each["name"], "dtype": each["dtype"], "shape": tuple(_dim(dim) for dim in each["shape"])}


def _input(each: Mapping[str, Any]) -> Input:
    lengths, classes = each.get("lengths"), each.get("classes")
    at_most = None
    if lengths is not None:
        at_most = float("inf") if lengths["atMost"] is None else float(lengths["atMost"])
    return Input(
        **_type(each),
        sample_axis=each["sampleAxis"],
        at_most=at_most,
        labels=tuple(
            LabelLimit(one["classes"], one.get("ignored"), bool(one.get("skipsOthers")), one["by"])
            for one in each.get("labels") or []
        ),
        rows=tuple(RowLimit(one["rows"], one["by"]) for one in each.get("rows") or []),
        classes=None if classes is None else ClassLimit(classes["loss"], classes["count"], classes.get("ignored")),
    )


def _joining(each: Mapping[str, Any]) -> Joining:
    if each["kind"] != "samples":
        return Joining(each["kind"], sum=each.get("sum"))
    at = each["at"]
    return Joining("samples", at["axis"], at["outer"], at["inner"])


def _form(form: Mapping[str, Any]) -> Form:
    return Form(
        loss=form["loss"],
        weights=form["weights"],
        inputs=tuple(_input(each) for each in form["inputs"]),
        parameters=tuple(
            Parameter(**_type(each), differentiated=each["differentiated"], sha256=each["sha256"])
            for each in form["parameters"]
        ),
        wants={name: dict(each) for name, each in form["wants"].items()},
        results=tuple(
            Result(
                **_type(each),
                want=each["want"],
                path=tuple(each["path"]),
                parameter=each["parameter"],
                joining=_joining(each["joining"]),
            )
            for each in form["results"]
        ),
        vectors=tuple(
            Vector(**_type(each), want=each["want"], parameter=each["parameter"], value=each["value"])
            for each in form["vectors"]
        ),
        scalars=tuple(
            Scalar(
                **_type(each),
                want=each["want"],
                scalar=each["scalar"],
                initial=float(each["initial"]),
                range=(float(each["range"][0]), float(each["range"][1])),
            )
            for each in form["scalars"]
        ),
        others=tuple(Other(**_type(each), want=each["want"]) for each in form["others"]),
        whole=form["whole"],
        memory=tuple(
            Bytes(float(each["fixed"]), float(each["perSample"]), float(each["perPair"])) for each in form["memory"]
        ),
        raw=form,
    )
