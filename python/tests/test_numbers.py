"""A saved program gives in Python what it gives in Node, whatever the batches, and wherever its weights are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Case
from safetensors.numpy import load_file

from pergrad_worker import Form, PergradError, open_program

TOLERANCE = 1e-5


def expect_close(found: Any, wanted: Any, what: str, tolerance: float = TOLERANCE) -> None:
    """Relative to the largest of the numbers."""
    assert found.shape == wanted.shape, what
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-30)
    assert float(np.abs(found.astype(np.float64) - wanted).max(initial=0)) <= tolerance * scale, what


def in_results(form: Form, found: dict[str, Any], counted: int) -> dict[str, Any]:
    """Results by their places in what `run` gives in Node: want, then the parts of its path."""
    names: dict[str, Any] = {}
    for each in form.results:
        if each.want is None:
            continue
        kind = form.wants[each.want]["kind"]
        value = found[each.name]
        if kind == "moments":
            place, parameter = each.path[0], each.parameter
            if place == "sum":
                names[f"{each.want}|mean|{parameter}"] = value / counted
            elif place == "within":
                mean = found[f"{each.want}/sum/{parameter}"] / counted
                names[f"{each.want}|variance|{parameter}"] = value / (counted - 1)
                names[f"{each.want}|secondMoment|{parameter}"] = value / counted + mean**2
        elif kind in ("losses", "project", "gram", "cosine"):
            names[each.want] = value
        elif kind == "kroneckerFactors":
            side = each.path[0]
            if side == "columns":
                rows = found[f"{each.want}/B/{each.path[1]}"]
                names[f"{each.want}|layers|{each.path[1]}|A"] = value / (rows.sum() if rows.ndim == 1 else rows.trace())
                continue
            where = {"block": ["blocks"], "diagonal": ["diagonals"]}.get(side, ["layers"])
            tail = [each.path[1], side] if where == ["layers"] else [each.path[1]]
            names["|".join([each.want, *where, *tail])] = value
        else:
            path = ["parameters" if part == "of" else "groups" if part == "group" else part for part in each.path]
            names["|".join([each.want, *path])] = value
            if (
                kind == "clippedSum"
                and path == ["norms"]
                and not any(one.want == each.want and "group" in one.path for one in form.results)
            ):
                names[f"{each.want}|groups|all"] = value
    return names


@pytest.mark.parametrize("batch_size", [None, 7, 1])
def test_as_in_node(case: Case, batch_size: int | None) -> None:
    program = open_program(case.program)
    joined = program.compute(case.tensors("data"), batch_size=batch_size, scalars={"clipped": 0.3})
    assert (joined.samples, joined.counted, joined.not_finite) == (30, 30, [])
    found = in_results(program.form, joined.finish(rounded=False), joined.counted)
    expected = case.tensors("expected")
    compared = 0
    for name, wanted in expected.items():
        if name.startswith("byParameter|groups") and name not in found:
            continue
        own = wanted.view(np.float16) if wanted.dtype == np.uint16 else wanted
        if name.startswith("drawn|") and batch_size is not None:
            continue  # Signs are those of a sample's place in what is computed at a time.
        expect_close(found[name], own, name, 1e-3 if own.dtype == np.float16 else TOLERANCE)
        compared += 1
    assert compared >= len(expected) - len(program.form.parameters)


def test_weights_as_inputs(case: Case) -> None:
    inside, outside = open_program(case.program), open_program(case.with_inputs)
    data = case.tensors("data")
    found = outside.compute(data, weights=case.tensors("weights")).finish()
    for name, value in inside.compute(data).finish().items():
        expect_close(found[name], value, name, 1e-3 if value.dtype == np.float16 else TOLERANCE)
    with pytest.raises(PergradError, match="has no value; give its tensor"):
        outside.compute(data)
    with pytest.raises(PergradError, match='weights: "inputs"'):
        inside.compute(data, weights=case.tensors("weights"))


def test_digests_are_those_of_the_weights(case: Case) -> None:
    import hashlib

    weights = case.tensors("weights")
    for each in open_program(case.program).form.parameters:
        assert each.sha256 == hashlib.sha256(np.ascontiguousarray(weights[each.name]).tobytes()).hexdigest()


def test_no_samples(case: Case) -> None:
    data = {name: value[:0] for name, value in case.tensors("data").items()}
    found = open_program(case.program).compute(data).finish()
    assert found["norms/total"].shape == (0,)
    assert not found["clipped/norms"].size


def test_vectors_and_norms_of_the_caller(perceptron: Case) -> None:
    program, data = open_program(perceptron.program), perceptron.tensors("data")
    own = {each.name: np.ones(each.dims(0), np.float32) for each in program.form.vectors if each.want == "dot"}
    found = program.compute(data, vectors=own).finish()
    gradients = sum(found[f"gradients/{each.name}"].reshape(30, -1).sum(axis=1) for each in program.form.parameters)
    expect_close(found["dot/total"], gradients, "dot", 1e-4)
    with pytest.raises(PergradError, match="it must be a finite number above 0"):
        program.compute(data, scalars={"clipped": 0})
    with pytest.raises(PergradError, match=r'The norm "clipped/at/all" is float32 \[3\], but it is a number; give one'):
        program.compute(data, inputs={"clipped/at/all": np.ones(3, np.float32)})
    with pytest.raises(PergradError, match='There is no want "clip" that clips'):
        program.compute(data, scalars={"clip": 1})
    with pytest.raises(PergradError, match=r'The vector of "dot" for "0\.bias" is float32'):
        program.compute(data, vectors={"dot/with/0.bias": np.ones(3, np.float32)})


def test_the_batch_size_follows_from_the_memory(case: Case) -> None:
    program = open_program(case.program)
    size = program.batch_size(2 * program.form.bytes_at(3))
    assert 3 <= size <= 256
    assert program.form.bytes_at(size) <= 2 * program.form.bytes_at(3)
    with pytest.raises(PergradError, match="one sample alone takes"):
        program.batch_size(program.form.bytes_at(1) / 2)


def test_what_takes_all_samples_at_once(programs: Path) -> None:
    program = open_program(str(programs / "gram.onnx"))
    data = Case(programs / "perceptron").tensors("data")
    expect_close(
        program.compute(data).finish()["gram/gram"], load_file(str(programs / "gram.safetensors"))["gram"], "g"
    )
    with pytest.raises(PergradError, match='"gram/gram" takes all samples at once'):
        program.compute(data, batch_size=7)
