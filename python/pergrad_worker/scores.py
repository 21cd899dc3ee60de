"""Scores of training samples for queries: what `pergrad attribute` gives, part by part.

pergrad sends what stands for the queries: tensors that programs are fed (the factors of the queries' gradients, or these
gradients times an inverse matrix), or vectors in the space of the projected gradients that an earlier job has written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from .checking import Array, Prepared
from .content import CONTENT, content_of
from .data import ID
from .errors import PergradError, counted_from
from .execution import CPU
from .files import KEY, digest, make_folder, part_file, written
from .plan import Identity, Part, description, missing, parts, said_of
from .program import Batch
from .run import read_part
from .scores_file import SCORES, join_scores
from .session import Optimization
from .table import Column, Table
from .values import Opened, load_values, open_with

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProductScores:
    """Scores at one checkpoint: results of a program times `factors`, divided by `over`."""

    program: str
    files: tuple[str, ...]
    """safetensors files of what is fed beside the data."""
    results: tuple[str, ...]
    """`[N, some queries]` each, side by side."""
    factors: tuple[float, ...]
    """One for each query."""
    over: str | None = None
    """A result `[N]` by which each sample's scores are divided; they are 0 where it is 0."""


@dataclass(frozen=True)
class FeatureScores:
    """Scores at one checkpoint: inner products of vectors with projected gradients, which lie in a folder."""

    folder: str
    result: str
    """`[N, dims]`"""
    vectors: str
    """A safetensors file with `vectors`, `[queries, dims]`."""
    odds: str | None = None
    """A result `[N]`: log p - log(1 - p) of each sample's label. Its scores are weighted by the mean of 1 - p over checkpoints."""


@dataclass(frozen=True)
class ScoresTask:
    """Scores of all samples for all queries, added over checkpoints."""

    data: str
    out: str
    queries: int
    products: tuple[ProductScores, ...] = ()
    features: tuple[FeatureScores, ...] = ()
    batch_size: int | None = None
    ids: str | None = None
    allow_not_finite: bool = False
    execution: tuple[str, ...] = CPU
    optimization: Optimization = "extended"

    def plan(self) -> list[Part]:
        _identity(self)
        return parts(self.data, self.ids)

    def missing(self, plan: Sequence[Part]) -> list[Part]:
        return missing(plan, self.out, _identity(self))

    def compute(self, part: Part) -> int:
        make_folder(self.out)
        ids, content, blocks = self._of_features(part) if self.features else self._of_products(part)
        about = {**description(part, _identity(self)), **content}
        with (
            counted_from(part.path, part.row_group),
            written(part_file(self.out, part.index)) as aside,
            Table(aside, [self._column], ids, about) as table,
        ):
            for scores in blocks:
                table.add({SCORES: scores.astype(np.float32)}, len(scores))
        return len(ids)

    def notes(self) -> tuple[str, ...]:
        every = (each.program.fallen_back for each in _opened(self))
        return tuple(dict.fromkeys(note for note in every if note is not None))

    def join(self, plan: Sequence[Part]) -> dict[str, Any]:
        named = self.ids is not None or (len(plan) > 0 and ID in pq.read_schema(plan[0].path).names)
        return join_scores(self.out, plan, _identity(self), self.queries, named)

    @property
    def _column(self) -> Column:
        return Column(SCORES, "float32", (self.queries,))

    def _of_products(self, part: Part) -> tuple[Any, dict[str, Any], Iterator[Numbers]]:
        """The samples' ids, what is said of the data that was read, and the samples' scores, a batch at a time."""
        opened = _opened(self)
        first = opened[0]
        rows, prepared = read_part(
            first.program, first.given, part.path, part.row_group, self.ids, part.first, self.allow_not_finite
        )
        content = content_of(part.path, part.row_group, rows.columns, rows.state)
        size = min(each.program.size_for(prepared.samples, self.batch_size) for each in opened)
        return rows.ids, content, self._batches(opened, prepared, size)

    def _batches(self, opened: Sequence[Opened], prepared: Prepared, size: int) -> Iterator[Numbers]:
        each = [one.program.batches(prepared, one.given, batch_size=size, not_finite="throw") for one in opened]
        for batches in zip(*each, strict=True):
            scores = np.zeros((batches[0].samples, self.queries))
            for made, batch in zip(self.products, batches, strict=True):
                scores += _scores(made, batch)
            yield scores

    def _of_features(self, part: Part) -> tuple[Any, dict[str, Any], Iterator[Numbers]]:
        scores, weights = np.zeros((part.rows, self.queries)), np.zeros(part.rows)
        ids: Any = None
        content: dict[str, Any] = {}
        for made, vectors in zip(self.features, _vectors(self), strict=True):
            path = part_file(made.folder, part.index)
            table = pq.read_table(path, columns=[ID, made.result, *([made.odds] if made.odds else [])])
            ids, content = table.column(ID).combine_chunks(), _content_in(table)
            scores += _matrix(table, made.result).astype(np.float64) @ vectors.T
            weights += 1 if made.odds is None else 1 / (1 + np.exp(table.column(made.odds).to_numpy().astype(float)))
        return ids, content, iter([scores * (weights / len(self.features))[:, None]])


def _content_in(table: pa.Table) -> dict[str, Any]:
    """What a part says about its source data."""
    said = json.loads((table.schema.metadata or {})[KEY.encode()])
    return {key: said[key] for key in CONTENT}


def _scores(made: ProductScores, batch: Batch) -> Numbers:
    products = np.concatenate([batch.results[name] for name in made.results], axis=1).astype(np.float64)
    scores: Numbers = products * np.asarray(made.factors)
    if made.over is None:
        return scores
    size = batch.results[made.over].astype(np.float64)[:, None]
    np.divide(scores, size, out=scores, where=size != 0)
    return np.where(size == 0, 0, scores)


def _matrix(table: pa.Table, name: str) -> Array:
    return np.asarray(table.column(name).combine_chunks().to_numpy_ndarray())


@lru_cache(maxsize=2)
def _opened(task: ScoresTask) -> tuple[Opened, ...]:
    """Once for each process that computes parts."""
    return tuple(
        open_with(made.program, made.files, execution=task.execution, optimization=task.optimization)
        for made in task.products
    )


@lru_cache(maxsize=2)
def _vectors(task: ScoresTask) -> tuple[Numbers, ...]:
    return tuple(load_values(made.vectors)["vectors"].astype(np.float64) for made in task.features)


@lru_cache(maxsize=2)
def _identity(task: ScoresTask) -> Identity:
    """Covers all that determines the scores: the programs, and what stands for the queries."""
    # The node that plans need not have the execution provider.
    opened = _opened(replace(task, execution=CPU))
    programs = [
        *([one.program.digest, made.results, made.over] for made, one in zip(task.products, opened, strict=True)),
        *([_features_digest(made), made.result, made.odds] for made in task.features),
    ]
    queries = [
        *([one.given.digest, made.factors] for made, one in zip(task.products, opened, strict=True)),
        *(digest(made.vectors) for made in task.features),
    ]
    return Identity(_hash(programs), _hash(queries), said_of(task.execution, task.optimization, task.ids))


def _hash(said: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _features_digest(made: FeatureScores) -> str:
    path = part_file(made.folder, 0)
    try:
        said = json.loads((pq.read_schema(path).metadata or {})[KEY.encode()])
        return f"{said['program']} {said.get('given')}"
    except Exception as error:
        raise PergradError("FILE_UNREADABLE", f'"{path}" holds no projected gradients: {error}.') from error
