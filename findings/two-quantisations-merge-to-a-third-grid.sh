#!/usr/bin/env bash
# ONNX Runtime replaces two quantisations in a row by one whose scale is in neither of them: results lie on another grid.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU, default options), onnx 1.23.2, numpy 2.4.6, Python 3.11 or later.
# Expected by most: quantise, dequantise, quantise, dequantise gives multiples of the last scale, whatever optimisations run;
# with equal scales and two zero points, rounding happens once, and the second pair only clips.
# Seen: with a scale of 0.05 in both pairs and zero points of 128 and 3, 0.44 becomes 0.43333; unoptimised and in onnx's
# reference evaluator it becomes 0.45. The optimiser removes the inner pair and gives the outer one a scale of its own, the
# range that both can represent divided by 255. Here the step is 0.0255, so errors are up to half a step of either grid, and
# numbers that were already multiples of 0.05 are moved. With the same zero point in both pairs nothing changes.
# Why it matters: this is what a model looks like after quantisation-aware training, where one layer's output quantiser meets
# the next layer's input quantiser. Accuracy measured in training, or with optimisations off, is not that of the deployed model,
# and integer results cannot be compared bit by bit with hardware that keeps the stated scales.
# Source: QuantizeLinear in onnx, which defines the result by the given scale and zero point, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/two_quantisations.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)
scale = np.float32(0.05)
x = np.array([0.44, 1.52, 1.93, 0.2], np.float32)


def results(first, second):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "first"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "scale", "first"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "scale", "second"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "scale", "second"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two_pairs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [
            numpy_helper.from_array(scale, "scale"),
            numpy_helper.from_array(np.uint8(first), "first"),
            numpy_helper.from_array(np.uint8(second), "second"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    runs = [
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for options in (ort.SessionOptions(), plain)
    ]
    return [*runs, ReferenceEvaluator(model).run(None, {"x": x})[0]]


on_grid = np.round(x / scale) * scale
for first, second in ((128, 3), (128, 128)):
    optimised, plain, reference = results(first, second)
    print(f"onnxruntime {ort.__version__}, zero points {first} and {second}: {optimised}, unoptimised {plain}, reference {reference}")
    assert np.allclose(plain, on_grid, atol=1e-6) and np.allclose(reference, on_grid, atol=1e-6)
    moved = np.abs(optimised - on_grid).max()
    assert (moved > 0.005) == (first != second), "the result has changed"
PYTHON
python3 -m venv "$folder/venv"
for version in 1.30.0 1.32.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.23.2 numpy==2.4.6
  "$folder/venv/bin/python" "$folder/two_quantisations.py"
done
