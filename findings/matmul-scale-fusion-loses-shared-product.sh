#!/usr/bin/env bash
# ONNX Runtime refuses a valid model in which a scaled tensor feeds one product, and scaled once more another.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: a model that onnx.checker accepts, and that loads without optimisations, loads with them.
# Seen: with y = (x * a) @ w and z = left @ ((x * a) * b), a and b scalar constants, a session is refused: a node's input
# "is not a graph input, initializer, or output of a previous node". The fusion of scalings into products takes b into the
# second product and, with it, forgets that x * a is read there; then it takes a into the first product and removes x * a.
# Without this one fusion (disabled_optimizers=["MatMulScaleFusion"]) it loads, and so it does without optimisations.
# Why it matters: gradients have this form wherever a scaled layer (alpha of a Gemm, attention's 1/sqrt(d)) is followed by
# another; whoever generates graphs must join such scalings, or the model fails when it is loaded, and not before.
# Source: found by drawing random graphs, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/scales.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

nodes = [
    helper.make_node("Mul", ["x", "a"], ["scaled"]),
    helper.make_node("MatMul", ["scaled", "w"], ["y"]),
    helper.make_node("Mul", ["scaled", "b"], ["twice"]),
    helper.make_node("MatMul", ["left", "twice"], ["z"]),
]
scales = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("a", 0.5), ("b", 0.25))]
info = lambda name, dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
inputs = [info("x", [4, 1, 2]), info("w", [2, 2]), info("left", [4, 2, 1])]
graph = helper.make_graph(nodes, "scales", inputs, [info("y", [4, 1, 2]), info("z", [4, 2, 2])], scales)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model, full_check=True)


def loads(**settings):
    try:
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"], **settings)
        return True
    except Exception as error:
        print(f"{ort.__version__}: {str(error)[:120]}")
        return False


plain = ort.SessionOptions()
plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
assert not loads(), "the session was refused"
assert loads(disabled_optimizers=["MatMulScaleFusion"])
assert loads(sess_options=plain)
PYTHON
for version in 1.30.0 1.32.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.20.0 numpy==2.2.6
  "$folder/$version/bin/python" "$folder/scales.py"
done
