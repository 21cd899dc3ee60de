"""Bad data and bad files are refused with the sentences that Node has, with the sample's number."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import Case
from safetensors.numpy import load_file

from pergrad_worker import NotFinite, PergradError, open_program


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
    with pytest.raises(PergradError, match="is damaged: KeyError at 'results'; save the program again"):
        open_program(str(programs / "damaged.onnx"))
    with pytest.raises(PergradError, match='"cross" uses another batch, which the file does not hold'):
        open_program(str(programs / "cross.onnx")).given()
    with pytest.raises(PergradError, match="it does not exist"):
        open_program(str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(PergradError, match="ONNX Runtime refused a program"):
        open_program(str(tmp_path / "text.onnx"))


def test_errors_go_from_one_process_to_another() -> None:
    for error in (PergradError("RUNTIME", "It failed."), NotFinite("Not finite.", (3, 4))):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.code, str(again)) == (type(error), error.code, str(error))
