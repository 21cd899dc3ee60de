"""What a program is fed beside its data: norms, vectors, weights, what another batch gave, and inputs that all samples share."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .checking import NUMPY, Array
from .errors import PergradError
from .form import Form

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Given:
    """Checked: arrays by the names of the program's inputs."""

    feeds: Arrays = field(default_factory=dict)
    shared: Arrays = field(default_factory=dict)
    """Data that is the same for all samples."""
    held: frozenset[str] = frozenset()
    """Those of the feeds whose values are the file's own."""

    @cached_property
    def digest(self) -> str | None:
        """Of the values that are not the file's, by which results are known; None where there are none."""
        every = {name: value for name, value in {**self.feeds, **self.shared}.items() if name not in self.held}
        return digest_of(every) if every else None


def digest_of(arrays: Arrays) -> str:
    """The SHA-256 of arrays: their names, dtypes, shapes and bytes."""
    sha = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        sha.update(f"{name}\0{value.dtype}\0{value.shape}\0".encode())
        sha.update(np.ascontiguousarray(value).data)
    return sha.hexdigest()


def given_values(
    form: Form,
    metadata: Mapping[str, str],
    *,
    scalars: Mapping[str, float] | None = None,
    vectors: Arrays | None = None,
    weights: Arrays | None = None,
    shared: Arrays | None = None,
    inputs: Arrays | None = None,
) -> Given:
    """See `Program.given`. `metadata` are the file's, which hold the vectors that wants were given."""
    own = _sorted(form, inputs or {})
    # A number that is given by its want's name comes before those of files, which go by the inputs' names.
    wants = {each.name: each.want for each in form.scalars}
    held = {name: float(value) for name, value in own.scalars.items() if wants[name] not in (scalars or {})}
    numbers = _scalars(form, {**held, **(scalars or {})})
    given_vectors = {**own.vectors, **(vectors or {})}
    initial = {each.name for each in form.scalars if numbers[each.name] == np.asarray(each.initial, NUMPY[each.dtype])}
    return Given(
        {
            **numbers,
            **_vectors(form, metadata, given_vectors),
            **_weights(form, {**own.weights, **(weights or {})}),
            **_others(form, own.others),
        },
        {**own.shared, **(shared or {})},
        frozenset(initial | {each.name for each in form.vectors if each.name not in given_vectors}),
    )


@dataclass(frozen=True)
class _Sorted:
    scalars: dict[str, Array]
    vectors: dict[str, Array]
    weights: dict[str, Array]
    others: dict[str, Array]
    shared: dict[str, Array]


def _sorted(form: Form, inputs: Arrays) -> _Sorted:
    """Arrays by what each is for, which its name tells."""
    kinds = {
        **{each.name: "shared" for each in form.inputs if each.sample_axis is None},
        **{each.name: "weights" for each in form.parameters},
        **{each.name: "others" for each in form.others},
        **{each.name: "vectors" for each in form.vectors},
        **{each.name: "scalars" for each in form.scalars},
    }
    found = _Sorted({}, {}, {}, {}, {})
    for name, value in inputs.items():
        if name not in kinds:
            raise PergradError(
                "MISSING_TENSOR",
                f'The program takes no "{name}" beside its data; leave it out, or correct its name.',
            )
        getattr(found, kinds[name])[name] = value
    return found


def _scalars(form: Form, scalars: Mapping[str, float]) -> dict[str, Array]:
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


def _vectors(form: Form, metadata: Mapping[str, str], vectors: Arrays) -> dict[str, Array]:
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
            value = _held(metadata, each.value).reshape(each.dims(0))
        if value is None:
            raise PergradError(
                "MISSING_TENSOR",
                f'"{each.want}" takes inner products with vectors, but has none for the parameter '
                f'"{each.parameter}"; give it by `vectors` to run, or to want.dot.',
            )
        feeds[each.name] = _fitting(value, each.dtype, each.dims(0), f'The vector of "{each.want}" for', each.parameter)
    return feeds


def _weights(form: Form, weights: Arrays) -> dict[str, Array]:
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


def _others(form: Form, others: Arrays) -> dict[str, Array]:
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


def _held(metadata: Mapping[str, str], key: str) -> Array:
    text = metadata.get(key)
    if text is None:
        raise PergradError("INVALID_MODEL", f'The metadata "{key}" are missing; save the program again.')
    return np.frombuffer(base64.b64decode(text), "<f4")
