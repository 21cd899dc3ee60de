"""Reads one row group of a Parquet file as the inputs of a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .checking import Array, Data, Scaled, describe
from .content import scaling_of, state_of
from .errors import PergradError, counted_from, reading
from .form import Form, Input

ID = "id"


@dataclass(frozen=True)
class Rows:
    """The rows of a row group: inputs by name, and the id of each row."""

    data: Mapping[str, Data]
    ids: Any
    """A pyarrow array with one element for each row."""
    columns: tuple[str, ...]
    """The columns that were read."""
    state: Sequence[Any]
    """The state of the file before it was read."""


def read_row_group(
    path: str,
    row_group: int,
    form: Form,
    *,
    ids: str | None = None,
    first: int = 0,
    shared: Mapping[str, Array] | None = None,
) -> Rows:
    """Reads a row group, as `Program.compute` takes it.

    A column belongs to the input of its name (and `target`). It holds a number for each row, a list, lists of lists of
    fixed lengths, or fixed-shape tensors: one sample's part, whose shape is the input's without its sample axis; a flat
    list fills that shape in order. Bytes may have a scale, and an offset: JSON in the file's key-value metadata, under
    `x.scale` and `x.offset`. `ids` names the column of the samples' ids (default: `id` if there is one; otherwise
    rows are numbered from `first`). `shared` has the inputs that all samples share.

    Raises PergradError: FILE_UNREADABLE, MISSING_TENSOR, DTYPE_MISMATCH, SHAPE_MISMATCH, INVALID_ARGUMENT (a row
    without a value, a column that is there twice).
    """
    with reading(path, row_group):
        state = state_of(path)
        with pq.ParquetFile(path) as file:
            if not 0 <= row_group < file.num_row_groups:
                raise PergradError(
                    "INVALID_ARGUMENT",
                    f'"{path}" has {file.num_row_groups} row groups, so there is no number {row_group}; '
                    "give a number from 0 up to one less.",
                )
            names = file.schema_arrow.names
            wanted = [each.name for each in form.inputs if each.sample_axis is not None and each.name in names]
            own = id_column(path, names, ids)
            # A column may be both.
            columns = tuple(dict.fromkeys([*wanted, *([own] if own else [])]))
            _require_single(path, names, columns)
            table = file.read_row_group(row_group, columns=list(columns), use_threads=False)
            scaling = scaling_of(file)
    data: dict[str, Data] = dict(shared or {})
    for each in form.inputs:
        if each.name in data:
            continue
        if each.sample_axis is None:
            raise PergradError(
                "MISSING_TENSOR",
                f'The input "{each.name}" is the same for all samples, so no column holds it; give it by `shared`, or in a file (--given).',
            )
        if each.name not in names:
            raise _lacking(path, each.name, names)
        with counted_from(path, row_group):
            data[each.name] = column(each, table.column(each.name), scaling)
    rows = table.num_rows
    own_ids = table.column(own).combine_chunks() if own else pa.array(np.arange(first, first + rows))
    with counted_from(path, row_group):
        _require_values(own or ID, own_ids, rows)
    return Rows(data, own_ids, columns, state)


def column(each: Input, values: Any, scaling: Mapping[str, bytes] | None = None) -> Data:
    """A column (a pyarrow array) as an input: samples along the input's sample axis.

    `scaling` may hold JSON under `NAME.scale` and `NAME.offset`, for bytes.
    """
    array = _numbers(each.name, values)
    if len(array) == 0:
        # Without a list it is not known how long lists are.
        return np.zeros(each.dims(0), array.dtype)
    array = _placed(each, array)
    scale = _factor(scaling or {}, f"{each.name}.scale")
    if scale is None or str(array.dtype) != "uint8":
        return array
    offset = _factor(scaling or {}, f"{each.name}.offset")
    return Scaled(array, scale, 0.0 if offset is None else offset)


def id_column(path: str, names: Sequence[str], asked: str | None) -> str | None:
    """The column of the samples' ids; None if rows are numbered. Raises PergradError MISSING_TENSOR."""
    if asked is None:
        return ID if ID in names else None
    if asked in names:
        return asked
    raise PergradError("MISSING_TENSOR", f'"{path}" has no column "{asked}" of ids; it holds {_listed(names)}.')


def _require_single(path: str, names: Sequence[str], columns: Sequence[str]) -> None:
    twice = next((name for name in columns if names.count(name) > 1), None)
    if twice is not None:
        raise PergradError("INVALID_ARGUMENT", f'"{path}" has several columns "{twice}"; give each a name of its own.')


def _lacking(path: str, name: str, names: Sequence[str]) -> PergradError:
    what = "the target" if name == "target" else f'the input "{name}"'
    return PergradError("MISSING_TENSOR", f'"{path}" lacks {what}; it holds {_listed(names)}.')


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "no columns at all"
    shown = ", ".join(f'"{name}"' for name in names[:12])
    return shown + (f", ... ({len(names)} in all)" if len(names) > 12 else "")


def _numbers(name: str, values: Any) -> Array:
    """`[rows, ...]`, of the dtype that the column has."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    dims: list[int] = []
    rows = len(array)
    tensors = array if isinstance(array.type, pa.FixedShapeTensorType) else None
    if tensors is not None:
        array = tensors.storage
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        _require_values(name, array, rows)
        if pa.types.is_fixed_size_list(array.type):
            size = array.type.list_size
        else:
            lengths = np.unique(np.asarray(array.value_lengths()))
            if len(lengths) > 1:
                raise PergradError(
                    "SHAPE_MISMATCH",
                    f'The column "{name}" holds lists of {lengths[0]} to {lengths[-1]} elements; '
                    "bring them to one length.",
                )
            size = int(lengths[0]) if len(lengths) else 0
        dims.append(size)
        array = array.flatten()
    _require_values(name, array, rows)
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise PergradError(
            "DTYPE_MISMATCH", f'The column "{name}" holds {array.type}; give whole or floating-point numbers.'
        )
    if tensors is not None and rows > 0:
        # Axes may be stored in another order.
        return np.asarray(tensors.to_numpy_ndarray())
    return np.asarray(array.to_numpy(zero_copy_only=False)).reshape((rows, *dims))


def _require_values(name: str, array: Any, rows: int) -> None:
    """Raises PergradError INVALID_ARGUMENT if one is null. Each row has as many elements as the others."""
    if not array.null_count:
        return
    at = int(np.flatnonzero(np.asarray(array.is_null()))[0]) // (len(array) // rows)
    raise PergradError(
        "INVALID_ARGUMENT", f'The column "{name}" lacks a value in sample {at}; fill it, or leave the sample out.'
    )


def _inner(each: Input) -> tuple[int, ...]:
    """One sample's dimensions: those of the input without its sample axis, or with what that axis holds of a sample."""
    axis = each.sample_axis or 0
    own = each.shape[axis]
    folded = own[0] if isinstance(own, tuple) else 1
    others = [dim if isinstance(dim, int) else dim[0] for dim in (*each.shape[:axis], *each.shape[axis + 1 :])]
    return (*others[:axis], *(() if folded == 1 else (folded,)), *others[axis:])


def _placed(each: Input, array: Array) -> Array:
    """Moves the samples to the input's sample axis. Raises PergradError SHAPE_MISMATCH."""
    axis = each.sample_axis or 0
    if (array.ndim == 2 and len(_inner(each)) != 1) or (array.ndim == 1 and _inner(each) == (1,)):
        # A flat list holds the elements of one sample in order.
        if array.size != array.shape[0] * int(np.prod(_inner(each))):
            raise PergradError(
                "SHAPE_MISMATCH",
                f"{describe(each.name)} has {array.size} elements in {array.shape[0]} rows, which do not fill "
                f"{each.show()}; give as many elements as it holds.",
            )
        array = array.reshape((array.shape[0], *_inner(each)))
    own = each.shape[axis] if axis < len(each.shape) else (1,)
    if isinstance(own, tuple) and own[0] > 1 and array.ndim == len(each.shape) + 1:
        moved = np.moveaxis(array, 0, axis)
        return moved.reshape((*moved.shape[:axis], -1, *moved.shape[axis + 2 :]))
    return np.moveaxis(array, 0, axis) if array.ndim > axis else array


def _factor(metadata: Mapping[str, bytes], key: str) -> float | tuple[float, ...] | None:
    """A scale or an offset. Raises PergradError INVALID_ARGUMENT."""
    text = metadata.get(key)
    if text is None:
        return None
    try:
        value = json.loads(text)
        return tuple(_number(one) for one in value) if isinstance(value, list) else _number(value)
    except (ValueError, OverflowError, RecursionError):
        raise PergradError(
            "INVALID_ARGUMENT", f'The metadata "{key}" hold neither a number nor a list of numbers; correct them.'
        ) from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return float(value)
