"""Parts, one for each row group: whatever the groups, the order and the interruptions, the results are the same."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Case, column, write_parquet
from safetensors.numpy import load_file, save_file

from pergrad_worker import PergradError, content, join_sums, missing, open_program, parts, require_parts, run, run_part
from pergrad_worker.__main__ import _options, _task, main
from pergrad_worker.local import run_all


def compute(program: str, data: str, out: Path, order: list[int] | None = None, **settings: Any) -> dict[str, Any]:
    plan = parts(data)
    for index in order or range(len(plan)):
        part = plan[index]
        run_part(program, part.path, part.row_group, str(out), index, first=part.first, **settings)
    return join_sums(str(out), plan, program)


def results(out: Path) -> tuple[Any, dict[str, Any]]:
    files = sorted(out.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]), load_file(str(out / "sums.safetensors"))


def test_as_computed_at_once(case: Case, tmp_path: Path) -> None:
    data = case.tensors("data")
    ids = [f"sample {n}" for n in range(30)]
    first = {name: value[:19] for name, value in data.items()}
    second = {name: value[19:] for name, value in data.items()}
    write_parquet(tmp_path / "data/a.parquet", {**first, "id": ids[:19]}, 7)
    write_parquet(tmp_path / "data/b.parquet", {**second, "id": ids[19:]}, 4)
    done = compute(case.program, str(tmp_path / "data/*.parquet"), tmp_path / "out")
    assert (done["parts"], done["samples"], done["counted"]) == (6, 30, 30)
    table, sums = results(tmp_path / "out")
    assert table.column("id").to_pylist() == ids
    program = open_program(case.program)
    whole = program.compute(data).finish(rounded=False)
    for each in program.form.results:
        if each.want in ("drawn",) or "between" in each.path or "parts" in each.path:
            continue
        found = column(table, each.name) if each.joining.kind == "samples" else sums[each.name]
        assert each.joining.kind == "samples" or found.dtype == np.float64
        tolerance = 1e-3 if each.dtype == "float16" else 1e-5
        scale = np.abs(whole[each.name]).max(initial=1e-30)
        assert found.shape == whole[each.name].shape
        assert np.abs(found.astype(np.float64) - whole[each.name]).max(initial=0) <= tolerance * scale, each.name


def test_any_order_and_any_rerun_give_the_same_bytes(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 4)
    data = str(tmp_path / "a.parquet")
    compute(perceptron.program, data, tmp_path / "one")
    order = random.Random(1).sample(range(8), 8)
    compute(perceptron.program, data, tmp_path / "other", [*order, *order[:3]])
    for file in sorted(os.listdir(tmp_path / "one")):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes(), file
    table, _ = results(tmp_path / "one")
    assert table.column("id").to_pylist() == list(range(30))


def test_what_is_missing(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 10)
    plan = parts(str(tmp_path / "a.parquet"))
    out = tmp_path / "out"
    run_part(perceptron.program, plan[1].path, 1, str(out), 1, first=10)
    assert [part.index for part in missing(plan, str(out), perceptron.program)] == [0, 2]
    with pytest.raises(PergradError, match=r"lacks the results of part 0, 2 \(of 3\)"):
        join_sums(str(out), plan)
    # One that was being written when its process was killed is none.
    (out / "part-00000.parquet.0123.partial").write_bytes(b"half")
    assert [part.index for part in missing(plan, str(out))] == [0, 2]
    (out / "part-00001.sums.safetensors").unlink()
    assert [part.index for part in missing(plan, str(out))] == [0, 1, 2]


def test_results_of_something_else_are_not_taken(programs: Path, perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 10)
    compute(perceptron.program, str(tmp_path / "a.parquet"), tmp_path / "out")
    plan = parts(str(tmp_path / "a.parquet"))
    with pytest.raises(PergradError, match="holds results of another program"):
        missing(plan, str(tmp_path / "out"), str(programs / "sum.onnx"))
    write_parquet(tmp_path / "b.parquet", perceptron.tensors("data"), 9)
    with pytest.raises(PergradError, match="holds results of other data"):
        missing(parts(str(tmp_path / "b.parquet")), str(tmp_path / "out"), perceptron.program)


def test_what_cannot_be_split(programs: Path, perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 10)
    write_parquet(tmp_path / "whole.parquet", perceptron.tensors("data"), 30)
    gram = str(programs / "gram.onnx")
    form = open_program(gram).form
    plan = parts(str(tmp_path / "a.parquet"))
    with pytest.raises(PergradError, match='"gram/gram" takes all samples at once') as caught:
        require_parts(form, plan)
    assert caught.value.code == "INVALID_ARGUMENT"
    with pytest.raises(PergradError, match='"gram/gram" takes all samples at once'):
        compute(gram, str(tmp_path / "a.parquet"), tmp_path / "out")
    compute(gram, str(tmp_path / "whole.parquet"), tmp_path / "own")
    expected = load_file(str(programs / "gram.safetensors"))["gram"]
    np.testing.assert_allclose(load_file(str(tmp_path / "own/sums.safetensors"))["gram/gram"], expected, rtol=1e-4)


def test_messages_say_where_samples_are_counted_from(perceptron: Case, tmp_path: Path) -> None:
    data = perceptron.tensors("data")
    data["target"][13] = -1
    write_parquet(tmp_path / "a.parquet", data, 10)
    with pytest.raises(PergradError) as caught:
        run_part(perceptron.program, str(tmp_path / "a.parquet"), 1, str(tmp_path / "out"), 1)
    assert caught.value.message.startswith(
        'In row group 1 of "a.parquet", counted from its start: cross_entropy: the label -1 of sample 3 is outside 0..3'
    )
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("kind", ["lists", "flat lists", "large lists", "float64", "bytes"])
def test_columns_of_many_kinds(programs: Path, tmp_path: Path, kind: str) -> None:
    case = Case(programs / "convolutional")
    data = case.tensors("data")
    x = data["x"]
    metadata = {}
    if kind == "bytes":
        x = np.round((x + 1) * 127).astype(np.uint8)
        data["x"] = (x.astype(np.float64) / 127 - 1).astype(np.float32)
        metadata = {"x.scale": str(1 / 127), "x.offset": "[-1]"}
    columns: dict[str, Any] = {
        "lists": pa.array(x.tolist(), pa.list_(pa.list_(pa.list_(pa.float32())))),
        "flat lists": pa.array(x.reshape(30, -1).tolist(), pa.list_(pa.float32(), 144)),
        "large lists": pa.array(x.reshape(30, -1).tolist(), pa.large_list(pa.float32())),
        "float64": pa.FixedShapeTensorArray.from_numpy_ndarray(x.astype(np.float64)),
        "bytes": pa.FixedShapeTensorArray.from_numpy_ndarray(x),
    }
    table = pa.table({"x": columns[kind], "target": pa.array(data["target"].astype(np.int32))})
    pq.write_table(table.replace_schema_metadata(metadata or None), tmp_path / "a.parquet", row_group_size=13)
    compute(case.program, str(tmp_path / "a.parquet"), tmp_path / "out")
    found, _ = results(tmp_path / "out")
    expected = open_program(case.program).compute(data).finish()["norms/total"]
    np.testing.assert_allclose(column(found, "norms/total"), expected, rtol=1e-5)


def test_flat_bytes_of_another_length_are_refused(programs: Path, tmp_path: Path) -> None:
    case = Case(programs / "convolutional")
    columns = {"x": pa.array([[7] * 143] * 3, pa.list_(pa.uint8())), "target": case.tensors("data")["target"][:3]}
    metadata = {"x.scale": "[0.5]"}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), tmp_path / "a.parquet")
    with pytest.raises(PergradError, match="429 elements in 3 rows, which do not fill") as caught:
        run_part(case.program, str(tmp_path / "a.parquet"), 0, str(tmp_path / "out"), 0)
    assert caught.value.code == "SHAPE_MISMATCH"


def test_a_scale_that_is_no_number_is_refused(programs: Path, tmp_path: Path) -> None:
    case = Case(programs / "convolutional")
    columns = {"x": pa.array([[7] * 144] * 3, pa.list_(pa.uint8())), "target": case.tensors("data")["target"][:3]}
    for text in ('"half"', "{}", "[1, null]", "half"):
        pq.write_table(pa.table(columns).replace_schema_metadata({"x.scale": text}), tmp_path / "a.parquet")
        with pytest.raises(PergradError, match="hold neither a number nor a list") as caught:
            run_part(case.program, str(tmp_path / "a.parquet"), 0, str(tmp_path / "out"), 0)
        assert caught.value.code == "INVALID_ARGUMENT"


def test_columns_that_are_wrong(perceptron: Case, tmp_path: Path) -> None:
    target = perceptron.tensors("data")["target"][:3]

    def error(**columns: Any) -> PergradError:
        pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
        with pytest.raises(PergradError) as caught:
            run_part(perceptron.program, str(tmp_path / "bad.parquet"), 0, str(tmp_path / "out"), 0)
        return caught.value

    lists = [[1.0] * 5, [1.0] * 4, [1.0] * 5]
    assert "lists of 4 to 5 elements" in error(x=lists, target=target).message
    where = 'In row group 0 of "bad.parquet", counted from its start: '
    assert error(x=[lists[0], None, lists[2]], target=target).message.startswith(
        f'{where}The column "x" lacks a value in sample 1; fill it'
    )
    assert 'The column "target" holds string; give whole' in error(x=[lists[0]] * 3, target=["a", "b", "c"]).message
    assert error(x=[lists[0]] * 3).message.endswith('lacks the target; it holds "x".')
    assert error(x=[lists[1]] * 3, target=target).code == "SHAPE_MISMATCH"
    five = pa.list_(pa.float32(), 5)
    inner = pa.array([lists[0], lists[0], [1, 2, 3, None, 5]], five)
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), (5,)), inner)
    for x in (inner, tensors, pa.array(inner.to_pylist()), pa.array(inner.to_pylist(), pa.large_list(pa.float32()))):
        assert 'The column "x" lacks a value in sample 2' in error(x=x, target=target).message
    lacks = error(x=[lists[0]] * 3, target=target, id=["a", None, "c"]).message
    assert lacks == f'{where}The column "id" lacks a value in sample 1; fill it, or leave the sample out.'
    table = pa.Table.from_arrays([inner, inner, pa.array(target)], ["x", "x", "target"])
    pq.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(PergradError, match='has several columns "x"; give each a name of its own'):
        run_part(perceptron.program, str(tmp_path / "twice.parquet"), 0, str(tmp_path / "out"), 0)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(PergradError, match="is no readable Parquet file"):
        parts(str(tmp_path / "bad.parquet"))
    with pytest.raises(PergradError, match="No file matches"):
        parts(str(tmp_path / "none/*.parquet"))


@pytest.mark.parametrize(
    "scale", ["true", '"0.1"', "nope", "null", "{}", "[[1]]", "1" + "0" * 400, "[" * 100_000, "NaN", "[]", "[0.1, 0.2]"]
)
def test_scales_that_are_none(perceptron: Case, tmp_path: Path, scale: str) -> None:
    data = perceptron.tensors("data")
    write_parquet(tmp_path / "a.parquet", {**data, "x": np.ones((30, 5), np.uint8)}, 30, **{"x.scale": scale})
    with pytest.raises(PergradError) as caught:
        run_part(perceptron.program, str(tmp_path / "a.parquet"), 0, str(tmp_path / "out"), 0)
    assert caught.value.message.startswith('In row group 0 of "a.parquet", counted from its start: The ')
    assert "; correct them." in caught.value.message or "; give a finite number" in caught.value.message
    assert '"x.scale"' in caught.value.message or '"x" has a scale' in caught.value.message


@pytest.mark.parametrize("kind", ["tensors", "fixed lists", "lists", "large lists"])
def test_row_groups_without_rows(perceptron: Case, tmp_path: Path, kind: str) -> None:
    data = perceptron.tensors("data")
    x: dict[str, Any] = {
        "tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(data["x"]),
        "fixed lists": pa.array(data["x"].tolist(), pa.list_(pa.float32(), 5)),
        "lists": pa.array(data["x"].tolist(), pa.list_(pa.float32())),
        "large lists": pa.array(data["x"].tolist(), pa.large_list(pa.float32())),
    }
    table = pa.table({"x": x[kind], "target": pa.array(data["target"])})
    (tmp_path / "data").mkdir()
    for name, rows in (("a", table[:0]), ("b", table), ("c", table[:0])):
        pq.write_table(rows, tmp_path / f"data/{name}.parquet")
    done = compute(perceptron.program, str(tmp_path / "data"), tmp_path / "out")
    assert (done["parts"], done["samples"], done["counted"]) == (3, 30, 30)
    found, sums = results(tmp_path / "out")
    whole = open_program(perceptron.program).compute(data).finish()
    np.testing.assert_allclose(column(found, "norms/total"), whole["norms/total"], rtol=1e-5)
    np.testing.assert_allclose(sums["mean/0.weight"], whole["mean/0.weight"], rtol=1e-4, atol=1e-6)


def test_a_folder_holds_other_files_too(perceptron: Case, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_parquet(data / "a.parquet", perceptron.tensors("data"), 10)
    for name in ("_SUCCESS", "_metadata", "_metadata.parquet", ".a.parquet.crc", "._a.parquet", "readme.txt"):
        (data / name).write_bytes(b"no data")
    assert [Path(part.path).name for part in parts(str(data))] == ["a.parquet"] * 3
    (data / "deep").mkdir()
    (data / "a.parquet").rename(data / "deep/a.parquet")
    with pytest.raises(PergradError, match=r'its subfolders hold some, which ".*\*\*/\*\.parquet" names'):
        parts(str(data))
    assert len(parts(str(data / "**/*.parquet"))) == 3
    with pytest.raises(PergradError, match=r'Cannot read ".*b\.parquet": it does not exist'):
        parts(str(data / "b.parquet"))


def test_files_name_their_samples_or_none_does(perceptron: Case, tmp_path: Path) -> None:
    data = perceptron.tensors("data")
    write_parquet(tmp_path / "a.parquet", {**data, "id": list(range(30)), "own": list(range(30))}, 30)
    write_parquet(tmp_path / "b.parquet", {**data, "own": list(range(30))}, 30)
    files = str(tmp_path / "*.parquet")
    with pytest.raises(PergradError, match=r'a\.parquet" has a column "id" and ".*b\.parquet" has none') as caught:
        parts(files)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert len(parts(files, "own")) == 2
    with pytest.raises(PergradError, match=r'b\.parquet" has no column "id" of ids; it holds "target", "x", "own"'):
        parts(files, "id")


class TestRerun:
    """What is there already is taken only where it is of the same data, read in the same way."""

    def begun(self, case: Case, tmp_path: Path) -> list[str]:
        data = case.tensors("data")
        write_parquet(tmp_path / "data/a.parquet", {**data, "own": [f"s{n}" for n in range(30)]}, 10)
        arguments = ["--program", case.program, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
        assert main(arguments) == 0
        return arguments

    def refused(self, arguments: list[str]) -> str:
        with pytest.raises(PergradError) as caught:
            run_all(_task(_options().parse_args(arguments)))
        assert caught.value.code == "INVALID_ARGUMENT"
        return caught.value.message

    def test_other_numbers_in_a_file_of_the_same_name(self, perceptron: Case, tmp_path: Path) -> None:
        arguments = self.begun(perceptron, tmp_path)
        data = perceptron.tensors("data")
        own = {"own": [f"s{n}" for n in range(30)]}
        # The smallest change there is, of one label in the last group, and the file as old as it was.
        file = tmp_path / "data/a.parquet"
        old = file.stat()
        target = data["target"].copy()
        target[[28, 29]] = target[[29, 28]]
        write_parquet(file, {**data, "target": target, **own}, 10)
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
        assert 'part-00002.parquet" holds results of other data' in self.refused(arguments)
        # With its own numbers the file is the same, whenever it was written, and wherever it is.
        write_parquet(file, {**data, **own}, 10)
        assert main(arguments) == 0
        write_parquet(tmp_path / "there/a.parquet", {**data, **own}, 10)
        there = ["--data", str(tmp_path / "there")]
        assert main([*arguments, *there]) == 0
        write_parquet(tmp_path / "there/a.parquet", {**data, "x": data["x"] * 2, **own}, 10)
        os.utime(tmp_path / "there/a.parquet", ns=(0, 0))
        assert "other data" in self.refused([*arguments, *there])
        # A column that nothing reads may change, but not its name.
        write_parquet(file, {**data, "own": ["x"] * 30}, 10)
        assert main(arguments) == 0
        write_parquet(file, {**data, "id": ["x"] * 30}, 10)
        assert "other data" in self.refused(arguments)

    def test_another_folder_of_the_same_name(self, perceptron: Case, tmp_path: Path) -> None:
        # Both were there before the results, and a folder that is renamed changes no file in it.
        data = {**perceptron.tensors("data"), "own": [f"s{n}" for n in range(30)]}
        write_parquet(tmp_path / "next/a.parquet", {**data, "x": data["x"] * 2}, 10)
        arguments = self.begun(perceptron, tmp_path)
        (tmp_path / "data").rename(tmp_path / "before")
        (tmp_path / "next").rename(tmp_path / "data")
        assert "holds results of other data" in self.refused(arguments)
        (tmp_path / "data").rename(tmp_path / "next")
        (tmp_path / "before").rename(tmp_path / "data")
        assert main(arguments) == 0

    @pytest.mark.parametrize("when", ["read", "computed"])
    def test_data_that_changes_meanwhile(
        self, perceptron: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        data = perceptron.tensors("data")
        file = tmp_path / "data/a.parquet"
        write_parquet(file, data, 30)
        step = {"read": "prepare", "computed": "Table"}[when]
        proceed = getattr(run, step)

        def changed(*given: Any, **more: Any) -> Any:
            monkeypatch.undo()
            write_parquet(file, {**data, "x": data["x"] * 2}, 30)
            return proceed(*given, **more)

        monkeypatch.setattr(run, step, changed)
        arguments = ["--program", perceptron.program, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
        if when == "computed":
            # The results are of what was read, which is no longer there.
            for _ in range(2):
                assert "holds results of other data" in self.refused(arguments)
            return
        with pytest.raises(PergradError) as caught:
            run_all(_task(_options().parse_args(arguments)))
        assert caught.value.code == "FILE_UNREADABLE"
        assert caught.value.message.endswith(" was changed while it was read; leave it as it is, and repeat the call.")
        assert main(arguments) == 0

    def test_data_elsewhere_is_read_once_to_compare_it(
        self, perceptron: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arguments = self.begun(perceptron, tmp_path)
        (tmp_path / "data").rename(tmp_path / "there")
        compared: list[int] = []
        digest_of = content._digest
        monkeypatch.setattr(content, "_digest", lambda *given: [compared.append(given[1]), digest_of(*given)][1])
        # It is looked for what is missing before the parts are computed, and before they are joined.
        assert main([*arguments, "--data", str(tmp_path / "there")]) == 0
        assert compared == [0, 1, 2]

    def test_other_scales(self, perceptron: Case, tmp_path: Path) -> None:
        data = {**perceptron.tensors("data"), "x": np.arange(150, dtype=np.uint8).reshape(30, 5)}
        write_parquet(tmp_path / "a.parquet", data, 10, **{"x.scale": "0.1"})
        compute(perceptron.program, str(tmp_path / "a.parquet"), tmp_path / "out")
        write_parquet(tmp_path / "a.parquet", data, 10, **{"x.scale": "0.2"})
        with pytest.raises(PergradError, match="other data"):
            missing(parts(str(tmp_path / "a.parquet")), str(tmp_path / "out"))

    def test_fewer_and_more_row_groups(self, perceptron: Case, tmp_path: Path) -> None:
        arguments = self.begun(perceptron, tmp_path)
        data = {**perceptron.tensors("data"), "own": [f"s{n}" for n in range(30)]}
        write_parquet(tmp_path / "data/a.parquet", {name: value[:20] for name, value in data.items()}, 10)
        assert 'part-00002.parquet" holds results of other data' in self.refused(arguments)
        write_parquet(tmp_path / "data/a.parquet", data, 10)
        write_parquet(tmp_path / "data/b.parquet", {name: value[:5] for name, value in data.items()}, 10)
        assert main(arguments) == 0
        done = json.loads((tmp_path / "out/done.json").read_text())
        assert (done["parts"], done["samples"], done["counted"]) == (4, 35, 35)

    def test_other_ids(self, perceptron: Case, tmp_path: Path) -> None:
        arguments = self.begun(perceptron, tmp_path)
        assert "holds results of other settings" in self.refused([*arguments, "--ids", "own"])

    def test_sums_of_something_else(self, programs: Path, perceptron: Case, tmp_path: Path) -> None:
        # Two calls at once, of two programs: one writes the sums, the other one what belongs to each sample.
        self.begun(perceptron, tmp_path)
        self.begun(Case(programs / "perceptron"), tmp_path / "own")
        plan = parts(str(tmp_path / "data"))
        other = str(tmp_path / "other")
        run_part(str(programs / "sum.onnx"), plan[1].path, 1, other, 1, first=10)
        own = tmp_path / "out/part-00001.sums.safetensors"
        own.write_bytes((tmp_path / "other/part-00001.sums.safetensors").read_bytes())
        assert [part.index for part in missing(plan, str(tmp_path / "out"), perceptron.program)] == [1]


def test_the_command_in_two_processes_and_after_a_kill(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "data/a.parquet", perceptron.tensors("data"), 6)
    base = ["--program", perceptron.program, "--data", str(tmp_path / "data")]
    assert main([*base, "--out", str(tmp_path / "one")]) == 0
    command = [sys.executable, "-m", "pergrad_worker", *base, "--out", str(tmp_path / "two"), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        killed.wait(timeout=0.7)
    except subprocess.TimeoutExpired:
        killed.kill()
        killed.wait()
    subprocess.run(command, env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)
    one, two = results(tmp_path / "one"), results(tmp_path / "two")
    assert one[0].equals(two[0])
    for name, value in one[1].items():
        np.testing.assert_array_equal(value, two[1][name])


def test_the_command_says_what_is_wrong(perceptron: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["--program", perceptron.program, "--data", str(tmp_path / "none"), *out]) == 1
    none = (
        f'pergrad_worker: Cannot read "{tmp_path / "none"}": it does not exist; give a folder or a pattern of Parquet'
    )
    assert capsys.readouterr().err.startswith(none)


def test_what_is_fed_beside_the_data(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 10)
    program = open_program(perceptron.program)
    vectors = {each.name: np.ones(each.dims(0), np.float32) for each in program.form.vectors if each.want == "dot"}
    save_file({**vectors, "clipped/at/all": np.asarray(0.2, np.float32)}, tmp_path / "given.safetensors")
    base = ["--program", perceptron.program, "--data", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "out")]
    given = [*base, "--given", str(tmp_path / "given.safetensors")]
    assert main(given) == 0
    found, sums = results(tmp_path / "out")
    expected = program.compute(perceptron.tensors("data"), vectors=vectors, scalars={"clipped": 0.2}).finish()
    np.testing.assert_allclose(column(found, "dot/total"), expected["dot/total"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sums["clipped/sum/0.bias"], expected["clipped/sum/0.bias"], rtol=1e-4, atol=1e-6)
    done = json.loads((tmp_path / "out/done.json").read_text())
    assert done["program"] == program.digest
    assert len(done["given"]) == 64
    # The same values go on; others, and none, are refused.
    assert main(given) == 0
    changed = (["--scalar", "clipped=0.3"], ["--not-finite", "leave out"], ["--optimization", "all"])
    for other in (base, *([*given, *each] for each in changed)):
        with pytest.raises(PergradError, match=r"holds results of other (values beside the data|settings)"):
            run_all(_task(_options().parse_args(other)))
    # What a file holds is no other value where it is given.
    assert main([*base[:-1], str(tmp_path / "own")]) == 0
    assert main([*base[:-1], str(tmp_path / "own"), "--scalar", "clipped=0.5"]) == 0


def test_another_batch_that_is_given(programs: Path, perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 10)
    program = str(programs / "cross.onnx")
    base = ["--program", program, "--data", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "out")]
    with pytest.raises(PergradError, match='"cross" uses another batch'):
        run_all(_task(_options().parse_args(base)))
    assert main([*base, "--given", str(programs / "cross.given.safetensors")]) == 0
    found = pa.concat_tables([pq.read_table(file) for file in sorted((tmp_path / "out").glob("part-*.parquet"))])
    expected = load_file(str(programs / "cross.safetensors"))["cross"]
    np.testing.assert_allclose(column(found, "cross/cross"), expected, rtol=1e-4, atol=1e-5)


def test_sums_of_outer_products(perceptron: Case, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", perceptron.tensors("data"), 11)
    compute(perceptron.program, str(tmp_path / "a.parquet"), tmp_path / "out", gram=["projection/projected"])
    table, sums = results(tmp_path / "out")
    rows = column(table, "projection/projected").astype(np.float64)
    np.testing.assert_allclose(sums["projection/projected/gram"], rows.T @ rows, rtol=1e-12)


def test_a_disk_that_is_full_is_one_sentence(perceptron: Case, tmp_path: Path) -> None:
    from safetensors import SafetensorError

    from pergrad_worker.files import written

    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        pa.ArrowInvalid("IOError: Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ):
        with pytest.raises(PergradError) as caught, written(str(tmp_path / "x")):
            raise error
        assert caught.value.code == "FILE_UNWRITABLE"
        assert (
            caught.value.message
            == f'Cannot write "{tmp_path / "x"}": no space is left on its disk; make room, and go on.'
        )
    assert not list(tmp_path.glob("*"))
