#!/usr/bin/env bash
# The mean of no elements is 0 in ONNX Runtime, in float32 and float64: no NaN, no error.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11 or later.
# Expected by most: NaN, as in NumPy, in PyTorch and in onnx's reference evaluator: a sum of 0 divided by a count of 0.
# Seen: ReduceMean over an axis of length 0 gives 0; ReduceMax over it gives minus infinity, and the mean written as ReduceSum
# divided by the count gives NaN.
# Why it matters: a loss that is a mean over what a mask or a filter has left is 0 where nothing is left, which is the best
# value that a loss can have; nobody sees that the batch was empty, and after training on such batches the average loss is too
# small.
# Source: ReduceMean in onnx, whose text does not say what an empty set gives, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/mean_of_nothing_is_zero.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

ort.set_default_logger_severity(4)



def run(nodes, x):
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), ["rows", "columns"])],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(x.dtype), ["rows"])],
        [onnx.numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


for kind in (np.float32, np.float64):
    x = np.zeros([2, 0], kind)
    cast = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    mean = run([helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)], x)
    divided = run(
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
            helper.make_node("Shape", ["x"], ["count"], start=1),
            helper.make_node("Cast", ["count"], ["number"], to=cast),
            helper.make_node("Div", ["sum", "number"], ["y"]),
        ],
        x,
    )
    largest = run([helper.make_node("ReduceMax", ["x", "axes"], ["y"], keepdims=0)], x) if kind is np.float32 else "not tried"
    print(f"onnxruntime {ort.__version__}, {kind.__name__}: mean {mean}, sum / count {divided}, largest {largest}")
    assert mean.tolist() == [0, 0], "the mean of nothing is not 0 any more"
    assert np.isnan(divided).all()
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.30.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" "$folder/mean_of_nothing_is_zero.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" "$folder/mean_of_nothing_is_zero.py"
