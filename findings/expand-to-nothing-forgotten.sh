#!/usr/bin/env bash
# ONNX Runtime forgets an Expand to an empty shape where an element-wise operator reads it: the result has elements.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: Expand of [1, 2] to [0, 2] has no elements, and neither has its product with a scalar.
# Seen: with optimisations the product is [1, 2], with numbers in it; without them it is [0, 2]. Where the Expand is itself a
# result of the model, both are [0, 2]. Where it goes to [3, 2], so that the product cannot do without it, all is right.
# Why it matters: an empty batch made by Expand (zeros or ones "like" a batch of none) comes out as a batch of one, with a
# made-up sample that sums and means then count; an error would be easier to find.
# Source: found while running programs on empty batches, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/expand.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(4)


def shapes(size, optimised=True, shown=False):
    """Of the product, and of the Expand where it is a result too."""
    nodes = [
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("Expand", ["e", "shape"], ["expanded"]),
        helper.make_node("Mul", ["expanded", "two"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([size, 2], np.int64), "shape"),
        numpy_helper.from_array(np.array(2, np.float32), "two"),
    ]
    results = ["y", "expanded"] if shown else ["y"]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in results]
    graph = helper.make_graph(nodes, "expand", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [found.shape for found in session.run(None, {"x": np.zeros([1, 2], np.float32)})]


print(f"{ort.__version__}: optimised {shapes(0)}, not optimised {shapes(0, optimised=False)}, shown {shapes(0, shown=True)}")
assert shapes(0) == [(1, 2)], "the product has elements"
assert shapes(0, optimised=False) == [(0, 2)]
assert shapes(0, shown=True)[1] == (0, 2)
assert shapes(3) == [(3, 2)]
PYTHON
for version in 1.30.0 1.32.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.20.0 numpy==2.2.6
  "$folder/$version/bin/python" "$folder/expand.py"
done
