"""A saved program, opened in ONNX Runtime: it checks data as pergrad does, and runs batch by batch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from .checking import Array, Data, Prepared, prepare
from .dtypes import NUMPY
from .errors import NotFinite, PergradError, first_few
from .execution import CPU, fallen_back
from .files import digest
from .form import KEY, Form, damaged, read_form
from .given import Arrays, Given, other_feeds, scalar_feeds, sorted_inputs, vector_feeds, weight_feeds
from .joining import Joined, spoilt_samples, sums_spoilt, whole_error, without
from .session import Optimization, load_session

MEMORY_BUDGET = 2**29
"""Bytes that a run may take by default, the same as for the chunks of a stream in Node."""

MOST_RESULTS = 4 * 2**20
"""Bytes of results of a batch, as in Node."""

MOST_SAMPLES = 256
"""Samples whose float32 sums are still accurate, as in Node."""

NotFiniteMode = Literal["throw", "leave out", "ignore"]


@dataclass(frozen=True)
class Batch:
    """The results of the samples from `start` on, by name."""

    start: int
    samples: int
    results: Mapping[str, Array]
    counted: int
    """The number of samples in its sums and means, which is smaller if some are left out."""
    spoilt: tuple[int, ...]
    """The samples whose gradients are not finite, counted from `start`."""


class Program:
    """A loaded program; `form` is what its file says about it. `open_program` makes one."""

    def __init__(
        self,
        path: str,
        session: Any,
        form: Form,
        metadata: Mapping[str, str],
        execution: Sequence[str] = CPU,
        optimization: Optimization = "extended",
    ) -> None:
        self.optimization = optimization
        self.execution = tuple(execution)
        """Execution providers, the preferred one first."""
        self.path = path
        self.form = form
        self._session = session
        self._metadata = metadata

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the program's file, which may be large."""
        return digest(self.path)

    @cached_property
    def fallen_back(self) -> str | None:
        """A remark that names the operators on the CPU although another provider is preferred; None if there are none."""
        return fallen_back(self._session, self.execution)

    def given(
        self,
        *,
        scalars: Mapping[str, float] | None = None,
        vectors: Arrays | None = None,
        weights: Arrays | None = None,
        shared: Arrays | None = None,
        inputs: Arrays | None = None,
    ) -> Given:
        """Checks what is fed beside the data.

        `scalars`: norms by the name of the want or of the input (`clipped`, or `clipped/at/all`); the default are those
        that the program was compiled with. `vectors`: arrays by input name (`dot/with/weight`). `weights`: the
        parameters' values by name, float32, for a program whose weights are inputs. `shared`: the inputs that all samples
        share, by name. `inputs`: any of these by input name, and what another batch gave (`want.cross`), as pergrad writes
        them to a safetensors file.

        Raises PergradError: MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT.
        """
        form = self.form
        own = sorted_inputs(form, inputs or {})
        # A norm given by its want's name comes before those of files, which go by the inputs' names.
        wants = {each.name: each.want for each in form.scalars}
        norms = {name: value for name, value in own.scalars.items() if wants[name] not in (scalars or {})}
        numbers = scalar_feeds(form, {**norms, **(scalars or {})})
        given_vectors = {**own.vectors, **(vectors or {})}
        initial = (
            each.name for each in form.scalars if numbers[each.name] == np.asarray(each.initial, NUMPY[each.dtype])
        )
        in_file = (each.name for each in form.vectors if each.name not in given_vectors)
        return Given(
            {
                **numbers,
                **vector_feeds(form, self._metadata, given_vectors),
                **weight_feeds(form, {**own.weights, **(weights or {})}),
                **other_feeds(form, own.others),
            },
            {**own.shared, **(shared or {})},
            frozenset((*initial, *in_file)),
        )

    def run(self, prepared: Prepared, given: Given) -> dict[str, Array]:
        """The outputs of one batch, computed at once, by name. Raises PergradError RUNTIME."""
        if prepared.samples == 0:
            return {each.name: np.zeros(each.dims(0), NUMPY[each.dtype]) for each in self.form.results}
        names = [each.name for each in self.form.results]
        try:
            values = self._session.run(names, {**prepared.feeds, **given.feeds})
        except Exception as error:
            raise _failure("failed to run a program", error) from error
        found = dict(zip(names, values, strict=True))
        for each in self.form.results:
            dims, own = each.dims(prepared.samples), found[each.name].shape
            if own != dims:
                raise damaged(self.path, f'the result "{each.name}" is {list(own)}, not {list(dims)}')
        return found

    def compute(
        self,
        data: Mapping[str, Data],
        *,
        batch_size: int | None = None,
        scalars: Mapping[str, float] | None = None,
        vectors: Arrays | None = None,
        weights: Arrays | None = None,
        inputs: Arrays | None = None,
        allow_not_finite: bool = False,
        not_finite: NotFiniteMode = "ignore",
    ) -> Joined:
        """Computes any number of samples in batches, and joins the results.

        `data`: arrays by input name, with all samples along their sample axes. `batch_size`: the default is
        `self.batch_size()`. `not_finite`: what to do about samples whose gradients are not finite. `leave out` leaves
        them out of sums and means, `throw` raises; the result lists their numbers in any case.

        Raises PergradError: what `checking.prepare` and `given` raise, INVALID_ARGUMENT if a batch cannot be split, and
        NOT_FINITE.
        """
        given = self.given(scalars=scalars, vectors=vectors, weights=weights, inputs=inputs)
        prepared = prepare(self.form, {**given.shared, **data}, allow_not_finite=allow_not_finite)
        joined = Joined(self.form)
        for each in self.batches(prepared, given, batch_size=batch_size, not_finite=not_finite):
            joined.add(each.results, each.samples, each.counted, each.spoilt)
        return joined

    def batches(
        self,
        prepared: Prepared,
        given: Given,
        *,
        batch_size: int | None = None,
        not_finite: NotFiniteMode = "ignore",
    ) -> Iterator[Batch]:
        """The results batch by batch, in order; if there are no samples, those of one empty batch."""
        size = self.size_for(prepared.samples, batch_size)
        for start in range(0, max(prepared.samples, 1), size):
            batch = self.part_of(prepared, range(start, min(start + size, prepared.samples)))
            results = self.run(batch, given)
            spoilt = self._spoilt(batch, given, results)
            if spoilt and not_finite == "throw":
                raise not_finite_error([start + n for n in spoilt])
            counted = batch.samples
            if spoilt and not_finite == "leave out":
                left_out = set(spoilt)
                kept = self.part_of(batch, [n for n in range(batch.samples) if n not in left_out])
                results, counted = without(self.form, results, self.run(kept, given)), kept.samples
            yield Batch(start, batch.samples, results, counted, tuple(spoilt))

    def _spoilt(self, batch: Prepared, given: Given, results: Mapping[str, Array]) -> list[int]:
        """The samples that are not finite. If only a sum shows it, they are found by halving the batch."""
        found = spoilt_samples(self.form, results, batch.samples)
        if found or not sums_spoilt(self.form, results) or self.form.whole is not None:
            return found
        if batch.samples == 1:
            return [0]
        middle = (batch.samples + 1) // 2
        for part in (range(middle), range(middle, batch.samples)):
            half = self.part_of(batch, part)
            found += [part.start + n for n in self._spoilt(half, given, self.run(half, given))]
        return found

    def batch_size(self, budget: float = MEMORY_BUDGET) -> int:
        """Samples computed at a time: as many as the budget, in bytes, allows by the program's estimate; at most 256.

        Raises PergradError MEMORY_BUDGET where one sample alone takes more than a budget that was given.
        """
        one = self.form.bytes_at(1)
        if one > budget and budget != MEMORY_BUDGET:
            raise PergradError(
                "MEMORY_BUDGET",
                f"A memory budget of {budget:.0f} bytes is too small: one sample alone takes {one:.0f} bytes.",
            )
        # More samples never take less.
        least, most = 1, MOST_SAMPLES
        while least < most:
            middle = (least + most + 1) // 2
            least, most = (middle, most) if self._fits(middle, budget) else (least, middle - 1)
        return least

    def size_for(self, samples: int, asked: int | None = None) -> int:
        """How many of these samples to compute at a time. Raises PergradError INVALID_ARGUMENT if they cannot be split."""
        if asked is not None and asked < 1:
            raise PergradError("INVALID_ARGUMENT", f"batch_size must be a whole number from 1 up, not {asked}.")
        if self.form.whole is not None:
            if asked is not None and asked < samples:
                raise whole_error(self.form, f"A batch of {samples} samples cannot be computed {asked} at a time")
            return max(1, samples)
        return asked or self.batch_size()

    def part_of(self, prepared: Prepared, samples: range | list[int]) -> Prepared:
        """These samples of a batch."""
        feeds = dict(prepared.feeds)
        for each in self.form.inputs:
            if each.sample_axis is not None:
                feeds[each.name] = _taken(feeds[each.name], each.sample_axis, samples)
        return Prepared(feeds, len(samples))

    def _fits(self, samples: int, budget: float) -> bool:
        results = sum(
            np.dtype(NUMPY[each.dtype]).itemsize * float(np.prod(each.dims(samples)))
            for each in self.form.results
            if each.batched
        )
        return self.form.bytes_at(samples) <= budget and results <= MOST_RESULTS


def open_program(
    path: str, *, threads: int = 1, optimization: Optimization = "extended", execution: Sequence[str] = CPU
) -> Program:
    """Opens a file that `program.save` wrote.

    `threads`: threads within an operation. `optimization`: ONNX Runtime's level of graph optimisation. `execution`: execution
    providers, the preferred one first, such as `("cuda", "cpu")`; a node that one cannot compute goes to the next, and at last
    to the CPU (`Program.fallen_back` names them).

    Raises PergradError: FILE_UNREADABLE; RUNTIME if the runtime refuses it; INVALID_ARGUMENT if it is no saved program, or one
    of another version, or if an execution provider is not installed; INVALID_MODEL.
    """
    if not os.path.exists(path):
        raise PergradError("FILE_UNREADABLE", f'Cannot read "{path}": it does not exist.')
    # A residual sum fused with a normalisation takes its mean with a fraction of the digits: Node does without it too.
    disabled = ["SkipLayerNormFusion"]
    try:
        session = load_session(path, threads=threads, optimization=optimization, disabled=disabled, execution=execution)
    except PergradError:
        raise
    except Exception as error:
        raise _failure("refused a program", error) from error
    metadata = session.get_modelmeta().custom_metadata_map
    form = read_form(metadata.get(KEY), path)
    if metadata.get("pergrad.unadapted") is not None:
        raise PergradError(
            "INVALID_ARGUMENT",
            f'"{path}" holds operators that ONNX Runtime lacks or gets wrong; save it with for: "onnxruntime".',
        )
    fault = fault_of_graph(form, session)
    if fault is not None:
        raise damaged(path, fault)
    return Program(path, session, form, metadata, execution, optimization)


def fault_of_graph(form: Form, session: Any) -> str | None:
    """What a form says otherwise than its graph, as the end of a sentence."""
    fed = {each.name for each in (*form.inputs, *form.vectors, *form.scalars, *form.others)}
    if form.weights == "inputs":
        fed |= {each.name for each in form.parameters}
    taken = {each.name for each in session.get_inputs()}
    given = {each.name for each in session.get_outputs()}
    for name in sorted(fed ^ taken):
        return f'it says nothing of the input "{name}"' if name in taken else f'the program has no input "{name}"'
    lacking = next((each.name for each in form.results if each.name not in given), None)
    return None if lacking is None else f'the program has no result "{lacking}"'


def _failure(what: str, error: Exception) -> PergradError:
    """What the runtime says, as Node has it: without the code and its name."""
    reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", " ".join(str(error).split())).removesuffix(".")
    return PergradError("RUNTIME", f"ONNX Runtime {what}: {reason}.")


def not_finite_error(samples: list[int]) -> NotFinite:
    """The error of samples whose gradients are not finite."""
    shown = first_few(samples)
    which = f"sample {shown} is" if len(samples) == 1 else f"samples {shown} are"
    return NotFinite(
        f"The gradient of {which} not finite; leave it out, or look for an overflow or a division by 0.",
        tuple(samples),
    )


def _taken(array: Array, axis: int, samples: range | list[int]) -> Array:
    if isinstance(samples, range):
        index = (slice(None),) * axis + (slice(samples.start, samples.stop),)
        return np.ascontiguousarray(array[index])
    return np.take(array, np.asarray(samples, np.int64), axis)
