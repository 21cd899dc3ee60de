"""What a program is fed beside its data: norms, vectors, weights, what another batch gave, and inputs that all samples share.

`Program.given` puts it together.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .checking import Array
from .dtypes import NUMPY
from .errors import PergradError
from .form import Form

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Given:
    """Arrays by the names of the program's inputs. They have been checked."""

    feeds: Arrays = field(default_factory=dict)
    shared: Arrays = field(default_factory=dict)
    """Data that is the same for all samples."""
    held: frozenset[str] = frozenset()
    """The feeds whose values are those of the file."""

    @cached_property
    def digest(self) -> str | None:
        """Identifies the values that are not those of the file; None if there are none."""
        every = {name: value for name, value in {**self.feeds, **self.shared}.items() if name not in self.held}
        return digest_of(every) if every else None


def digest_of(arrays: Arrays) -> str:
    """The SHA-256 of arrays: their names, dtypes, shapes and bytes."""
    sha = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        sha.update(f"{name}\0{value.dtype}\0{value.shape}\0".encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


@dataclass(frozen=True)
class Sorted:
    """Arrays by what they are for, each under the name of its input."""

    scalars: dict[str, float]
    vectors: dict[str, Array]
    weights: dict[str, Array]
    others: dict[str, Array]
    shared: dict[str, Array]


def sorted_inputs(form: Form, inputs: Arrays) -> Sorted:
    """Raises PergradError: MISSING_TENSOR for a name that is none of the program's, SHAPE_MISMATCH."""
    kinds = {
        **{each.name: "shared" for each in form.inputs if each.sample_axis is None},
        **{each.name: "weights" for each in form.parameters},
        **{each.name: "others" for each in form.others},
        **{each.name: "vectors" for each in form.vectors},
        **{each.name: "scalars" for each in form.scalars},
    }
    found = Sorted({}, {}, {}, {}, {})
    for name, value in inputs.items():
        if name not in kinds:
            raise PergradError(
                "MISSING_TENSOR",
                f'The program takes no "{name}" beside its data; leave it out, or correct its name.',
            )
        getattr(found, kinds[name])[name] = _number(name, value) if kinds[name] == "scalars" else value
    return found


def scalar_feeds(form: Form, scalars: Mapping[str, float]) -> dict[str, Array]:
    """The norms, by the names of the inputs: those given by a want's or an input's name, else those of the file."""
    for name in scalars:
        if not any(name in (each.want, each.name) for each in form.scalars):
            raise PergradError(
                "MISSING_TENSOR",
                f'There is no want "{name}" that clips to an adjustable norm; leave it out, or correct its name.',
            )
    feeds: dict[str, Array] = {}
    for each in form.scalars:
        number = scalars.get(each.name, scalars.get(each.want, each.initial))
        least, largest = each.range
        if not least <= number <= largest:
            raise PergradError(
                "INVALID_ARGUMENT",
                f'maxNorm of "{each.want}" is {number}; it must be a finite number above 0, '
                f"from {least:g} to {largest:g}.",
            )
        feeds[each.name] = np.asarray(number, NUMPY[each.dtype])
    return feeds


def vector_feeds(form: Form, metadata: Mapping[str, str], vectors: Arrays) -> dict[str, Array]:
    """The vectors, by the names of the inputs: those given, else those in the file's metadata."""
    unknown = next((name for name in vectors if not any(name == each.name for each in form.vectors)), None)
    if unknown is not None:
        raise PergradError(
            "MISSING_TENSOR",
            f'The program takes no vector "{unknown}"; leave it out, or correct its name.',
        )
    feeds: dict[str, Array] = {}
    for each in form.vectors:
        value = vectors.get(each.name)
        if value is None and each.value is not None:
            value = _held(metadata, each.value, each.dims(0))
        if value is None:
            raise PergradError(
                "MISSING_TENSOR",
                f'"{each.want}" takes inner products with vectors, but has none for the parameter '
                f'"{each.parameter}"; give it by `vectors` to run, or to want.dot.',
            )
        feeds[each.name] = _fitting(value, each.dtype, each.dims(0), f'The vector of "{each.want}" for', each.parameter)
    return feeds


def weight_feeds(form: Form, weights: Arrays) -> dict[str, Array]:
    """The parameters of a program whose weights are inputs."""
    inside = form.weights == "inside"
    names = {each.name for each in form.parameters}
    unknown = next((name for name in weights if name not in names), None)
    if unknown is not None:
        raise PergradError(
            "MISSING_TENSOR",
            f'The model has no parameter "{unknown}"; leave it out, or correct its name.',
        )
    if inside and weights:
        raise PergradError(
            "INVALID_ARGUMENT",
            'The program holds its weights and takes no others; save it with weights: "inputs".',
        )
    feeds: dict[str, Array] = {}
    for each in () if inside else form.parameters:
        if each.name not in weights:
            raise PergradError("MISSING_TENSOR", f'The parameter "{each.name}" has no value; give its tensor.')
        feeds[each.name] = _fitting(weights[each.name], each.dtype, each.dims(0), "The parameter", each.name)
    return feeds


def other_feeds(form: Form, others: Arrays) -> dict[str, Array]:
    """What another batch gave, for wants that need one."""
    feeds: dict[str, Array] = {}
    for each in form.others:
        if each.name not in others:
            raise PergradError(
                "MISSING_TENSOR",
                f'"{each.want}" uses another batch, which the file does not hold, and "{each.name}" of it is not given; '
                "let pergrad run the program, which computes and gives it.",
            )
        feeds[each.name] = _fitting(others[each.name], each.dtype, each.dims(0), "The tensor", each.name)
    return feeds


def _fitting(value: Array, dtype: str, dims: tuple[int, ...], whose: str, name: str) -> Array:
    if value.shape == dims and str(value.dtype) == dtype:
        return value
    raise PergradError(
        "SHAPE_MISMATCH",
        f'{whose} "{name}" is {value.dtype} [{", ".join(map(str, value.shape))}], '
        f"but the model needs {dtype} [{', '.join(map(str, dims))}]; give that.",
    )


def _number(name: str, value: Array) -> float:
    if value.size == 1 and value.dtype.kind in "fiu":
        return float(value.reshape(()))
    raise PergradError(
        "SHAPE_MISMATCH",
        f'The norm "{name}" is {value.dtype} [{", ".join(map(str, value.shape))}], but it is a number; give one.',
    )


def _held(metadata: Mapping[str, str], key: str, dims: tuple[int, ...]) -> Array:
    try:
        return np.frombuffer(base64.b64decode(metadata[key], validate=True), "<f4").reshape(dims)
    except (KeyError, ValueError):
        raise PergradError(
            "INVALID_MODEL", f'The metadata "{key}" do not hold {list(dims)} numbers; save the program again.'
        ) from None
