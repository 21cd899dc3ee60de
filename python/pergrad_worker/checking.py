"""Checks what is fed to a program, with the messages that pergrad has for the same faults in Node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .dtypes import FLOATS, NUMPY, WHOLE
from .errors import PergradError
from .form import ClassLimit, Form, Input, LabelLimit, RowLimit

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Scaled:
    """Bytes that stand for the numbers byte * scale + offset; both are one number, or one for each index of axis 1."""

    data: Array
    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...] = 0.0

    def numbers(self, what: str) -> Array:
        """float32 `[N, ...]`. Raises PergradError INVALID_ARGUMENT."""
        channels = self.data.shape[1] if self.data.ndim > 1 else 1
        scale = self._by_channel(what, "scale", self.scale, channels)
        offset = self._by_channel(what, "offset", self.offset, channels)
        return (self.data.astype(np.float64) * scale + offset).astype(np.float32)

    def _by_channel(
        self, what: str, name: str, given: float | tuple[float, ...], channels: int
    ) -> npt.NDArray[np.float64]:
        numbers = np.asarray([given] if isinstance(given, int | float) else given, np.float64)
        if numbers.ndim != 1 or not np.isfinite(numbers).all() or numbers.size not in (1, channels):
            raise PergradError(
                "INVALID_ARGUMENT",
                f"{what} has a {name} that does not fit; give a finite number, or one for each of the "
                f"{channels} channels of axis 1.",
            )
        if numbers.size == 1:
            return numbers.reshape(())
        return numbers.reshape((1, -1) + (1,) * (self.data.ndim - 2))


Data = Array | Scaled


@dataclass(frozen=True)
class Prepared:
    """What is fed to the runtime: arrays of the file's dtypes and shapes, and how many samples they hold."""

    feeds: Mapping[str, Array]
    samples: int


def prepare(form: Form, data: Mapping[str, Data], *, allow_not_finite: bool = False) -> Prepared:
    """Checks and converts a batch.

    `data` has an array for each input of the program, samples along its sample axis.

    Raises PergradError: MISSING_TENSOR, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, INVALID_ARGUMENT (lengths),
    LABEL_OUT_OF_RANGE, INDEX_OUT_OF_RANGE, and NOT_FINITE unless `allow_not_finite`.
    """
    names = ", ".join(f'"{each.name}"' for each in form.inputs)
    known = {each.name for each in form.inputs}
    for name in data:
        if name not in known:
            missing = [each for each in form.inputs if each.name not in data]
            near = f'; did you mean "{missing[0].name}"?' if len(missing) == 1 else f"; the program takes {names}."
            raise PergradError("MISSING_TENSOR", f'There is no input "{name}"{near}')
    feeds: dict[str, Array] = {}
    batch: tuple[str, int] | None = None
    for each in form.inputs:
        if each.name not in data:
            raise PergradError("MISSING_TENSOR", f"{describe(each.name)} is missing; the program takes {names}.")
        array = _converted(each, data[each.name])
        samples = _samples(each, array)
        if samples is not None and batch is not None and batch[1] != samples:
            raise PergradError(
                "BATCH_MISMATCH",
                f'{describe(each.name)} holds {samples} samples, but "{batch[0]}" holds {batch[1]}; '
                "give every input the same number.",
            )
        if samples is not None and batch is None:
            batch = (each.name, samples)
        if not allow_not_finite:
            _check_finite(each, array)
        if each.at_most is not None:
            _check_lengths(each, array, each.at_most)
        for label_limit in each.labels:
            _check_labels(each, array, label_limit)
        for row_limit in each.rows:
            _check_rows(each, array, row_limit)
        feeds[each.name] = np.ascontiguousarray(array)
    for each in form.inputs:
        if each.classes is not None:
            _check_classes(feeds[each.name], each.classes)
    return Prepared(feeds, batch[1] if batch else 0)


def describe(name: str) -> str:
    """What messages call an input."""
    return "The target" if name == "target" else f'The input "{name}"'


def _converts(given: str, wanted: str) -> bool:
    if given == wanted:
        return True
    if wanted in FLOATS:
        return given in FLOATS
    return wanted == "int64" and given in WHOLE


def _converted(each: Input, given: Array | Scaled) -> Array:
    if isinstance(given, Scaled):
        given = given.numbers(describe(each.name)) if each.dtype != "uint8" else given.data
    dtype = str(given.dtype)
    if dtype == each.dtype:
        return given
    if not _converts(dtype, each.dtype):
        scaled = dtype == "uint8" and each.dtype in FLOATS
        advice = (
            f'give it a scale, as in {{ dtype: "uint8", dims, data, scale: 1 / 255 }} ("{each.name}.scale" in a file), '
            f"or convert it to {each.dtype}"
            if scaled
            else f"convert it to {each.dtype}"
        )
        raise PergradError(
            "DTYPE_MISMATCH",
            f"{describe(each.name)} is {dtype}, but the model needs {each.dtype}; {advice}.",
        )
    with np.errstate(over="ignore"):
        # What is too large becomes infinity, which is then refused.
        return given.astype(NUMPY[each.dtype])


def _samples(each: Input, array: Array) -> int | None:
    dims = array.shape
    samples = None
    fits = len(dims) == len(each.shape)
    if fits and each.sample_axis is not None:
        samples = dims[each.sample_axis]
    for axis, dim in enumerate(each.shape):
        if not fits:
            break
        fits = (samples is not None and dims[axis] == dim[0] * samples) if isinstance(dim, tuple) else dims[axis] == dim
    if fits:
        return samples
    raise PergradError(
        "SHAPE_MISMATCH",
        f"{describe(each.name)} is [{', '.join(map(str, dims))}], but the model needs {each.show()}; "
        f"{_advice_on_shape(dims, each)}.",
    )


def _advice_on_shape(dims: tuple[int, ...], each: Input) -> str:
    turned = (
        len(dims) == 2
        and len(each.shape) == 2
        and all(isinstance(dim, tuple) or dim == dims[1 - k] for k, dim in enumerate(each.shape))
    )
    if turned:
        return "transpose it"
    return "reshape it, or correct which axis holds its samples (sampleAxes)"


def _first(wrong: npt.NDArray[np.bool_]) -> int | None:
    """The number of the first element that is wrong."""
    flat = wrong.reshape(-1)
    if not flat.any():
        return None
    return int(flat.argmax())


def _sample_at(element: int, each: Input, array: Array) -> int:
    if each.sample_axis is None:
        return 0
    behind = math.prod(array.shape[each.sample_axis + 1 :])
    return int((element // behind) % array.shape[each.sample_axis])


def _check_finite(each: Input, array: Array) -> None:
    if each.dtype not in FLOATS:
        return
    at = _first(~np.isfinite(array))
    if at is None:
        return
    raise PergradError(
        "NOT_FINITE",
        f"{describe(each.name)} holds NaN or infinity, first in sample {_sample_at(at, each, array)}; "
        "remove it, or allow it (allowNotFinite).",
    )


def _check_lengths(each: Input, array: Array, at_most: float) -> None:
    at = _first(~((array >= 0) & (array <= at_most)))  # type: ignore[operator]
    if at is None:
        return
    steps = f"0 to {at_most:.0f} steps" if math.isfinite(at_most) else "no fewer steps than 0"
    raise PergradError(
        "INVALID_ARGUMENT",
        f"{describe(each.name)} holds the length {array.reshape(-1)[at]} at element {at}, "
        f"but sequences have {steps}; correct it.",
    )


def _check_labels(each: Input, array: Array, limit: LabelLimit) -> None:
    fine = (array >= 0) & (array < limit.classes)  # type: ignore[operator]
    if limit.ignored is not None:
        fine |= array == limit.ignored
    if limit.skips_others:
        fine |= ~((array >= -limit.classes) & (array < limit.classes))  # type: ignore[operator]
    at = _first(~fine)
    if at is None:
        return
    if limit.skips_others:
        instead = f"the node ignores labels from {limit.classes} up and below {-limit.classes}"
    elif limit.ignored is None:
        instead = "the node ignores no label"
    else:
        instead = f"the node ignores {limit.ignored} alone"
    raise PergradError(
        "LABEL_OUT_OF_RANGE",
        f"{describe(each.name)} holds the label {array.reshape(-1)[at]} in sample {_sample_at(at, each, array)}, "
        f"outside 0..{limit.classes - 1} of the {limit.by}; correct it, or give a label that the model ignores "
        f"({instead}).",
    )


def _check_rows(each: Input, array: Array, limit: RowLimit) -> None:
    at = _first(~((array >= 0) & (array < limit.rows)))  # type: ignore[operator]
    if at is None:
        return
    outside = f"outside 0..{limit.rows - 1}" if limit.rows else "no row, since there are none"
    raise PergradError(
        "INDEX_OUT_OF_RANGE",
        f"{describe(each.name)} holds the index {array.reshape(-1)[at]} in sample {_sample_at(at, each, array)}, "
        f"{outside} of the table that the {limit.by} reads; correct it.",
    )


def _check_classes(target: Array, limit: ClassLimit) -> None:
    fine = (target >= 0) & (target < limit.count)  # type: ignore[operator]
    if limit.ignored is not None:
        fine |= target == limit.ignored
    at = _first(~fine)
    if at is None:
        return
    label = target.reshape(-1)[at]
    per_sample = math.prod(target.shape[1:])
    where = "" if per_sample == 1 else f", element {at % per_sample}"
    outside = f"outside 0..{limit.count - 1}" if limit.count else "no class, since there are none"
    advice = (
        f"if it marks what does not count, say so with ignoreIndex: {label}"
        if limit.ignored is None
        else f"correct it, or mark it by {limit.ignored}, the label that is ignored (ignoreIndex)"
    )
    raise PergradError(
        "LABEL_OUT_OF_RANGE",
        f"{limit.loss}: the label {label} of sample {at // per_sample}{where} is {outside}; {advice}.",
    )
