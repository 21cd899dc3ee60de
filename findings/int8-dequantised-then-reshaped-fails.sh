#!/usr/bin/env bash
# ONNX Runtime refuses to load a valid model in which int8 numbers are dequantised and then reshaped or transposed.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU, default options), onnx 1.23.2, numpy 2.4.6, Python 3.11 or later.
# Expected by most: DequantizeLinear followed by Reshape, Unsqueeze or Transpose loads and runs; nothing in the model is
# quantised, it is only read back.
# Seen: with int8 numbers and opset 21 or later, loading fails with "Op (QuantizeLinear) [TypeInferenceError] output_dtype INT8
# does not match y_zero_point type UINT8", and names a node that the model does not have. The same graph loads with uint8
# numbers, as opset 19, and without graph optimisations. The optimiser moves the dequantisation behind the reshape, between
# a pair that it adds for the purpose, and gives that pair a zero point of another type.
# Why it matters: int8 with a zero point is what symmetric quantisation writes for weights and activations. A model that passes
# the checker, and that the same runtime loads as opset 19, fails once it is converted to opset 21; the message blames an
# operator and a type that are nowhere in the file.
# Source: DequantizeLinear in onnx, which allows int8 with an int8 zero point in all of these opsets, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/int8_dequantised.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(4)

followers = {
    "Reshape": (helper.make_node("Reshape", ["real", "shape"], ["y"]), [6, 2]),
    "Unsqueeze": (helper.make_node("Unsqueeze", ["real", "axes"], ["y"]), [1, 2, 3, 2]),
    "Transpose": (helper.make_node("Transpose", ["real"], ["y"], perm=[1, 0, 2]), [3, 2, 2]),
}


def attempt(kind, opset, follower, optimised):
    """What the runtime computes, or the message with which it refuses the model."""
    numbers = np.arange(12).reshape(2, 3, 2).astype(kind)
    node, shape = followers[follower]
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["real"]), node],
        "read_back",
        [helper.make_tensor_value_info("q", helper.np_dtype_to_tensor_dtype(numbers.dtype), [2, 3, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.float32(0.5), "scale"),
            numpy_helper.from_array(kind(3), "zero"),
            numpy_helper.from_array(np.array([6, 2], np.int64), "shape"),
            numpy_helper.from_array(np.array([0], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return str(error)
    result = session.run(None, {"q": numbers})[0]
    expected = (numbers.astype(np.float32) - 3) * np.float32(0.5)
    expected = expected.transpose(1, 0, 2) if follower == "Transpose" else expected.reshape(shape)
    assert np.array_equal(result, expected)
    return "right"


for follower in followers:
    for kind, opset, optimised in (
        (np.int8, 21, True), (np.int8, 23, True), (np.int8, 19, True), (np.uint8, 21, True), (np.int8, 21, False),
    ):
        seen = attempt(kind, opset, follower, optimised)
        state = "default options" if optimised else "unoptimised"
        print(f"onnxruntime {ort.__version__}, {kind.__name__}, opset {opset}, {follower}, {state}: {seen[-110:]}")
        fails = kind is np.int8 and opset >= 21 and optimised
        assert ("does not match y_zero_point type UINT8" in seen) == fails, "the result has changed"
        assert fails or seen == "right"
PYTHON
python3 -m venv "$folder/venv"
for version in 1.30.0 1.32.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.23.2 numpy==2.4.6
  "$folder/venv/bin/python" "$folder/int8_dequantised.py"
done
