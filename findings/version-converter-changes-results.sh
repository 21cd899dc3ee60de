#!/usr/bin/env bash
# onnx's version converter changes what Hardmax computes on the way up, Softmax and LogSoftmax on the way down, and Resize.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0 (CPU, optimizations off), numpy 2.4.6, Python 3.11 or later.
# Expected by most: convert_version returns a model that computes the same, or raises: for many operators it says "No Adapter".
# Seen: raised from opset 12 to 13, a Softmax of an inner axis becomes Flatten, Softmax and Reshape, which is right; a Hardmax stays
# as it is, so that the ones, which were one for each row of the flattened input, are one for each line along the axis. Lowered
# from 13 to 12, Softmax and LogSoftmax keep their axis, and over any axis but the last they normalise over all axes from there on;
# Hardmax is refused there. A Resize raised from 10 to 11 gets the new defaults, other coordinates and another rounding, in place of
# those that opset 10 fixed, so that pictures are shifted. Every result passes the checker with shape inference.
# Why it matters: converting is the first step of many pipelines, since tools want one opset. Attention over a middle axis still
# looks like probabilities, and a shifted mask costs a few points of accuracy that are then looked for elsewhere.
# Source: the definitions of these operators in onnx's Changelog.md, versions 11 and 13 (10 and 11 for Resize), written out in numpy
# below; https://github.com/onnx/onnx/issues/8480 has the Resize; the others were measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat >"$folder/convert.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper, version_converter

ort.set_default_logger_severity(4)
x = np.random.default_rng(0).standard_normal([2, 3, 4, 5]).astype(np.float32)


def model(operator, opset, shape, inputs=(), initializers=(), **attributes):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *inputs], ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        list(initializers),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def converted(made, opset):
    result = version_converter.convert_version(made, opset)
    onnx.checker.check_model(result, full_check=True)
    assert result.opset_import[0].version == opset
    return run(result)


def softmax(rows):
    powers = np.exp(rows - rows.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def hardmax(rows):
    return (np.arange(rows.shape[-1]) == rows.argmax(-1)[..., None]).astype(np.float32)


functions = {"Softmax": softmax, "LogSoftmax": lambda rows: np.log(softmax(rows)), "Hardmax": hardmax}


def from_axis_on(function, axis):
    return function(x.reshape([int(np.prod(x.shape[:axis])), -1])).reshape(x.shape)


def along(function, axis):
    return np.moveaxis(function(np.moveaxis(x, axis, -1)), -1, axis)


def error(found, exact):
    return float(np.abs(found - exact).max()) if found.shape == exact.shape else np.inf


for operator, function in functions.items():
    for axis in range(1, 4):
        for before, after, meaning in [(12, 13, from_axis_on), (13, 12, along)]:
            made = model(operator, before, x.shape, axis=axis)
            exact = meaning(function, axis)
            assert error(run(made), exact) < 1e-5, "the runtime agrees with the definition before"
            try:
                wrong = error(converted(made, after), exact)
            except RuntimeError as refusal:
                assert operator == "Hardmax" and after == 12 and "No Adapter" in str(refusal)
                print(f"{operator}, axis {axis}, from {before} to {after}: refused")
                continue
            print(f"{operator}, axis {axis}, from {before} to {after}: off by {wrong:.1e}")
            changed = axis < 3 and (operator == "Hardmax" if after == 13 else True)
            assert wrong > 0.1 if changed else wrong < 1e-5


def resized(axis_scale, mode):
    """Opset 10: the point is position / scale; nearest is its floor."""
    result = x
    for axis, scale in axis_scale.items():
        size = x.shape[axis]
        points = np.arange(int(size * scale)) / scale
        below = np.floor(points).astype(int)
        above = np.minimum(below + 1, size - 1)
        part = (points - below).reshape([-1 if at == axis else 1 for at in range(4)]) if mode == "linear" else 0
        result = np.take(result, below, axis) * (1 - part) + np.take(result, above, axis) * part
    return result


scales = numpy_helper.from_array(np.array([1, 1, 1.5, 1.6], np.float32), "scales")
for mode in ["nearest", "linear"]:
    made = model("Resize", 10, [2, 3, 6, 8], ["scales"], [scales], mode=mode)
    exact = resized({2: 1.5, 3: 1.6}, mode)
    assert error(run(made), exact) < 1e-5
    wrong = error(converted(made, 11), exact)
    print(f"Resize, {mode}, from 10 to 11: off by {wrong:.1e}")
    assert wrong > 0.1
PYTHON
"$folder/venv/bin/python" "$folder/convert.py"
