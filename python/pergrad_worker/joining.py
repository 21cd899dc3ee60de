"""How results of parts become those of the whole: side by side, added in float64, averaged by count, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .checking import Array
from .dtypes import FLOATS
from .errors import PergradError
from .form import Form, Joining, Result

Sum = npt.NDArray[np.float64]

ADDED = ("sum", "mean", "deviations")
HIDDEN = "/hidden"
"""The result that counts, for each sample, NaN that an operator of the model hides."""


class Sums:
    """Sums over samples in float64, and results that all parts share.

    Means are held as sums times their counts until `finish`; deviations are squared deviations from the mean of the
    samples so far, put together as in Chan et al. 1983.
    """

    def __init__(self, joinings: Mapping[str, Joining]) -> None:
        self.joinings = {name: joining for name, joining in joinings.items() if joining.kind != "samples"}
        self.counted = 0
        self.values: dict[str, Array] = {}

    def add(self, results: Mapping[str, Array], counted: int) -> None:
        """Adds a batch's results as the program gives them: means are means."""
        weighed = {
            name: results[name].astype(np.float64) * counted if joining.kind == "mean" else results[name]
            for name, joining in self.joinings.items()
        }
        self.add_part(weighed, counted)

    def add_part(self, values: Mapping[str, Array], counted: int) -> None:
        """Adds another part's `values`, in which means are sums."""
        # Deviations need the sums of the parts before.
        for name, joining in self.joinings.items():
            if joining.kind == "deviations" and joining.sum is not None:
                self._deviate(name, joining.sum, values, counted)
        for name, joining in self.joinings.items():
            if joining.kind in ("sum", "mean"):
                self.values[name] = self._sum(name, values[name]) + values[name].astype(np.float64)
            elif joining.kind in ("shared", "whole") and name not in self.values:
                self.values[name] = values[name]
        self.counted += counted

    def finish(self) -> dict[str, Array]:
        """Sums, means and deviations in float64; shared results as they are."""
        return {
            name: self._mean(name) if joining.kind == "mean" else self.values[name]
            for name, joining in self.joinings.items()
            if name in self.values
        }

    def _mean(self, name: str) -> Sum:
        return self.values[name].astype(np.float64) / max(1, self.counted)

    def _sum(self, name: str, like: Array) -> Sum:
        return self.values.get(name, np.zeros(like.shape, np.float64)).astype(np.float64, copy=False)

    def _deviate(self, name: str, of: str, values: Mapping[str, Array], counted: int) -> None:
        part_sum, part = values[of].astype(np.float64), values[name].astype(np.float64)
        own_sum, own = self._sum(of, part_sum), self._sum(name, part)
        total = own + part
        if self.counted > 0 and counted > 0:
            between = own_sum / self.counted - part_sum / counted
            total = total + self.counted * counted / (self.counted + counted) * between**2
        self.values[name] = total


class Joined:
    """The results of batches, put together."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.sums = Sums({each.name: each.joining for each in form.results})
        self.samples = 0
        self.not_finite: list[int] = []
        """Numbers of samples whose gradients or losses are not finite."""
        self._parts: dict[str, list[Array]] = {each.name: [] for each in side_by_side(form)}

    @property
    def counted(self) -> int:
        """The number of samples in sums and means, which is smaller if some are left out."""
        return self.sums.counted

    def add(self, results: Mapping[str, Array], samples: int, counted: int, spoilt: Sequence[int] = ()) -> None:
        """Adds a batch's results. `counted`: how many samples its sums cover; `spoilt`: the samples that are not finite."""
        self.sums.add(results, counted)
        for name, parts in self._parts.items():
            parts.append(results[name])
        self.not_finite += [self.samples + n for n in spoilt]
        self.samples += samples

    def finish(self, *, rounded: bool = True) -> dict[str, Array]:
        """All results by name. Sums have the dtype of the file, or float64 if `rounded` is False."""
        found: dict[str, Array] = {}
        sums = self.sums.finish()
        for each in self.form.results:
            if each.name in self._parts:
                found[each.name] = _beside(each, self._parts[each.name])
            elif each.name in sums:
                value = sums[each.name]
                found[each.name] = value.astype(each.dtype) if rounded else value
        return found


def side_by_side(form: Form) -> list[Result]:
    """The results that hold a part for each sample."""
    return [each for each in form.results if each.joining.kind == "samples"]


def spoilt_samples(form: Form, results: Mapping[str, Array], samples: int) -> list[int]:
    """Samples of a batch whose losses or gradients are not finite, or hide a NaN, as far as the results tell."""
    spoilt = np.zeros(samples, np.bool_)
    for each in side_by_side(form):
        kind = "hidden" if each.want is None else form.wants[each.want]["kind"]
        value = results[each.name]
        if each.name == HIDDEN:
            spoilt |= value != 0
        elif kind != "outputs" and each.dtype in FLOATS:
            finite = np.isfinite(samples_first(each, value, samples))
            spoilt |= ~finite.all(axis=tuple(range(1, finite.ndim)))
    return [int(n) for n in np.flatnonzero(spoilt)]


def sums_spoilt(form: Form, results: Mapping[str, Array]) -> bool:
    """Whether a sum or mean is not finite."""
    added = (each for each in form.results if each.joining.kind in (*ADDED, "whole") and each.dtype in FLOATS)
    return any(not np.isfinite(results[each.name]).all() for each in added)


def without(form: Form, results: Mapping[str, Array], again: Mapping[str, Array]) -> dict[str, Array]:
    """A batch's results, with sums and means from `again`, which covers fewer samples."""
    return {each.name: again[each.name] if each.joining.kind in ADDED else results[each.name] for each in form.results}


def samples_first(result: Result, value: Array, samples: int) -> Array:
    """`[N, ...]`: a result with the samples on its first axis, unfolded from other axes."""
    axis, outer, inner = result.joining.axis, result.joining.outer, result.joining.inner
    before, behind = value.shape[:axis], value.shape[axis + 1 :]
    split = value.reshape((*before, outer, samples, inner, *behind))
    moved = np.moveaxis(split, axis + 1, 0)
    own = () if outer * inner == 1 else (outer * inner,)
    return np.ascontiguousarray(moved).reshape((samples, *before, *own, *behind))


def require_apart(form: Form, what: str) -> None:
    """Raises PergradError INVALID_ARGUMENT if a program's results cannot be put together from parts."""
    if form.whole is not None:
        raise whole_error(form, what)


def whole_error(form: Form, what: str) -> PergradError:
    """The error of results that need all samples at once."""
    return PergradError("INVALID_ARGUMENT", f"{what}: {form.whole}; give smaller batches, or more memory.")


def _beside(result: Result, parts: list[Array]) -> Array:
    axis, outer, inner = result.joining.axis, result.joining.outer, result.joining.inner
    if outer == 1:
        return np.concatenate(parts, axis)
    split = [
        part.reshape((*part.shape[:axis], outer, part.shape[axis] // outer // inner, inner, *part.shape[axis + 1 :]))
        for part in parts
    ]
    joined = np.concatenate(split, axis + 1)
    return joined.reshape((*parts[0].shape[:axis], -1, *parts[0].shape[axis + 1 :]))
