"""Bad data and bad files are refused with the sentences that Node has, with the sample's number."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Case
from safetensors.numpy import load_file

from pergrad_worker import NotFinite, PergradError, open_program
from pergrad_worker.checking import Prepared, prepare
from pergrad_worker.form import read_form
from pergrad_worker.program import Program, fault_of_graph


def test_the_same_sentences(case: Case) -> None:
    program = open_program(case.program)
    assert len(case.refused) >= 9
    for bad in case.refused:
        with pytest.raises(PergradError) as caught:
            program.compute(load_file(str(case.folder / bad["file"])))
        assert (bad["name"], caught.value.code, caught.value.message) == (bad["name"], bad["code"], bad["message"])


def test_data_that_is_not_finite_may_be_allowed(perceptron: Case) -> None:
    program, data = open_program(perceptron.program), perceptron.tensors("data")
    data["x"][4, 2] = np.nan
    joined = program.compute(data, allow_not_finite=True, batch_size=7)
    assert joined.not_finite == [4]
    assert not np.isfinite(joined.finish()["sum/0.weight"]).all()
    left = program.compute(data, allow_not_finite=True, batch_size=7, not_finite="leave out")
    others = program.compute({name: np.delete(value, 4, axis=0) for name, value in data.items()})
    assert (left.counted, left.not_finite) == (29, [4])
    for name in ("sum/0.weight", "mean/0.weight", "clipped/sum/0.weight"):
        np.testing.assert_allclose(left.finish()[name], others.finish()[name], rtol=1e-4, atol=1e-6)
    with pytest.raises(NotFinite, match="The gradient of sample 4 is not finite") as caught:
        program.compute(data, allow_not_finite=True, not_finite="throw")
    assert caught.value.samples == (4,)


def test_samples_are_looked_for_where_only_a_sum_shows_them(programs: Path) -> None:
    program = open_program(str(programs / "sum.onnx"))
    data = Case(programs / "perceptron").tensors("data")
    data["x"][[3, 17]] = np.inf
    joined = program.compute(data, allow_not_finite=True, not_finite="leave out", batch_size=11)
    assert (joined.not_finite, joined.counted) == ([3, 17], 28)
    assert all(np.isfinite(value).all() for value in joined.finish().values())


def test_files_that_cannot_be_opened(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(PergradError, match="holds a program of version 9, and this pergrad reads version 2"):
        open_program(str(programs / "other-version.onnx"))
    with pytest.raises(PergradError, match='is damaged: "results" is no list of results; save the program again'):
        open_program(str(programs / "damaged.onnx"))
    with pytest.raises(PergradError, match='"cross" uses another batch, which the file does not hold'):
        open_program(str(programs / "cross.onnx")).given()
    with pytest.raises(PergradError, match="it does not exist"):
        open_program(str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(
        PergradError, match=r"^ONNX Runtime refused a program: Load model from .* failed:[^\[\n]*[^.]\.$"
    ):
        open_program(str(tmp_path / "text.onnx"))


ODD = [
    None,
    True,
    -1,
    0,
    7,
    1.5,
    1e308,
    10**30,
    "",
    "x",
    "N",
    "N*0",
    "N*9",
    [],
    {},
    [1],
    {"a": 1},
    float("nan"),
    "DELETE",
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all that a form holds, but for the settings of wants, which are not read."""
    if path[:1] == ("wants",) and len(path) > 2:
        return
    if path:
        yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def damaged(form: Any, path: tuple[Any, ...], value: Any) -> Any:
    own = copy.deepcopy(form)
    inner = own
    for key in path[:-1]:
        inner = inner[key]
    if value == "DELETE":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return own


def test_a_form_that_is_damaged_is_one_sentence(case: Case) -> None:
    program, data = open_program(case.program), case.tensors("data")
    form = dict(program.form.raw)
    every, drawn = list(places(form)), random.Random(len(case.folder.name))
    refused = 0
    for _ in range(150):
        path, value = drawn.choice(every), drawn.choice(ODD)
        try:
            own = read_form(json.dumps(damaged(form, path, value)), "p.onnx")
            if fault_of_graph(own, program._session) is not None:
                raise PergradError("INVALID_MODEL", "")
            Program(program.path, program._session, own, program._metadata).compute(data, batch_size=11).finish()
        except PergradError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{value!r} at {path}: {error!r}")
    assert refused >= 75


def test_what_is_wrong_with_a_form(perceptron: Case) -> None:
    form = dict(open_program(perceptron.program).form.raw)

    def said(path: tuple[Any, ...], value: Any) -> str:
        with pytest.raises(PergradError) as caught:
            read_form(json.dumps(damaged(form, path, value)), "p.onnx")
        assert caught.value.code == "INVALID_MODEL"
        return caught.value.message

    start, end = 'The description of the program in "p.onnx" is damaged: ', "; save the program again."
    assert said(("weights",), "none") == f'{start}"weights" is neither "inside" nor "inputs"{end}'
    assert said(("inputs", 0, "sampleAxis"), 7) == f'{start}"inputs" is no list of inputs{end}'
    assert said(("inputs", 0, "sampleAxis"), 1) == f'{start}"inputs" is no list of inputs{end}'
    assert said(("results", 0, "joining", "at", "inner"), 3) == f'{start}"results" is no list of results{end}'
    assert said(("results", 0, "want"), "x") == f'{start}it has no want "x", which a result names{end}'
    assert said(("watch",), {"name": "x", "bound": 1}) == f'{start}it has no result "x", which another field names{end}'
    assert said(("inputs", 1, "name"), "x") == f'{start}"x" is there twice{end}'
    deep = "[" * 100_000
    with pytest.raises(PergradError, match="is damaged: it is no JSON"):
        read_form(deep, "p.onnx")
    taken = copy.deepcopy(form)
    taken["inputs"][0]["name"] = "y"
    taken["results"][0]["name"] = "none/none"
    session = open_program(perceptron.program)._session
    assert fault_of_graph(read_form(json.dumps(taken), "p.onnx"), session) == 'it says nothing of the input "x"'
    taken["inputs"][0]["name"] = "x"
    assert fault_of_graph(read_form(json.dumps(taken), "p.onnx"), session) == 'the program has no result "none/none"'


def test_vectors_in_the_metadata_that_are_damaged(perceptron: Case) -> None:
    program = open_program(perceptron.program)
    key = next(each.value for each in program.form.vectors if each.value is not None)
    for text in (None, "", "AAAA", "no base64!", "é"):
        metadata = {name: value for name, value in program._metadata.items() if name != key}
        metadata |= {} if text is None else {key: text}
        with pytest.raises(PergradError, match=f'The metadata "{key}" do not hold .* numbers') as caught:
            Program(program.path, program._session, program.form, metadata).given()
        assert caught.value.code == "INVALID_MODEL"


def test_what_the_runtime_says(perceptron: Case) -> None:
    program, data = open_program(perceptron.program), perceptron.tensors("data")
    given = program.given()
    prepared = Prepared({**prepare(program.form, data).feeds, "x": np.ones((30, 6), np.float32)}, 30)
    with pytest.raises(PergradError) as caught:
        program.run(prepared, given)
    assert caught.value.code == "RUNTIME"
    message = caught.value.message
    assert message.startswith("ONNX Runtime failed to run a program: Got invalid dimensions for input: x")
    assert (message.endswith("."), message.endswith(".."), "\n" in message) == (True, False, False)


def test_errors_go_from_one_process_to_another() -> None:
    for error in (PergradError("RUNTIME", "It failed."), NotFinite("Not finite.", (3, 4))):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.code, str(again)) == (type(error), error.code, str(error))
