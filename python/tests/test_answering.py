"""Questions in a folder: an answer is what the program gives, once, and what goes wrong is an answer too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from conftest import Case
from safetensors.numpy import load_file, save_file

from pergrad_worker import open_program
from pergrad_worker.answering import answer, questions
from pergrad_worker.checking import prepare


def ask(folder: Path, case: Case, question: str) -> dict[str, np.ndarray]:
    """Asks for a batch's results, and gives what they must be."""
    program = open_program(case.with_inputs)
    prepared = prepare(program.form, case.tensors("data"))
    given = program.given(weights=case.tensors("weights"))
    shutil.copy(case.with_inputs, folder / "program-1.onnx")
    names = {}
    for k, (name, value) in enumerate({**prepared.feeds, **given.feeds}.items()):
        names[name] = f"tensor-{k}.safetensors"
        # Not contiguous scalars too: an array of no axes stays one.
        save_file({"tensor": np.asarray(value).copy()}, folder / names[name])
    asked = {"program": "program-1.onnx", "disabled": "SkipLayerNormFusion", "feeds": names}
    (folder / f"ask-{question}.json").write_text(json.dumps(asked))
    return program.run(prepared, given)


def test_answers_what_the_program_gives(case: Case, tmp_path: Path) -> None:
    expected = ask(tmp_path, case, "q")
    assert questions(str(tmp_path)) == ["q"]
    answer(str(tmp_path), "q")
    assert questions(str(tmp_path)) == []
    found = load_file(tmp_path / "answer-q.safetensors")
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    answer(str(tmp_path), "q")
    again = load_file(tmp_path / "answer-q.safetensors")
    for name, first in found.items():
        np.testing.assert_array_equal(again[name], first)
    assert not list(tmp_path.glob("*.partial"))


def test_a_question_that_is_gone_has_no_answer(tmp_path: Path) -> None:
    answer(str(tmp_path), "q")
    assert list(tmp_path.iterdir()) == []


def test_what_goes_wrong_is_an_answer(case: Case, tmp_path: Path) -> None:
    ask(tmp_path, case, "q")
    asked = json.loads((tmp_path / "ask-q.json").read_text())
    asked["feeds"].popitem()
    (tmp_path / "ask-q.json").write_text(json.dumps(asked))
    answer(str(tmp_path), "q")
    said = json.loads((tmp_path / "answer-q.json").read_text())
    assert said["message"]
    assert questions(str(tmp_path)) == []
