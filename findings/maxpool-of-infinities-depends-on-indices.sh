#!/usr/bin/env bash
# ONNX Runtime's MaxPool has another result when its second output is asked for.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: the maximum of a window of -infinity is -infinity, as in PyTorch and numpy, and asking for Indices, an
# optional output, leaves the maxima as they are.
# Seen: MaxPool alone gives the lowest finite float32, -3.4028235e+38, for such a window; the same node with Indices
# gives -infinity. GlobalMaxPool gives the lowest float too.
# Why it matters: masks write -infinity. A masked window turns finite, so that a later softmax, a test for infinity or a
# comparison with another framework goes wrong without a word; and a graph that adds the second output, as gradients of
# pooling do, changes the forward pass.
# Source: measured here; ONNX's docs/Operators.md, MaxPool, defines the maximum and gives no lower bound.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pool.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

data = np.array([[[-np.inf, -np.inf, -np.inf, 1]]], np.float32)


def maxima(op, outputs, data, **attributes):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, data.shape)
    types = {"y": TensorProto.FLOAT, "indices": TensorProto.INT64}
    results = [helper.make_tensor_value_info(name, types[name], None) for name in outputs]
    graph = helper.make_graph([helper.make_node(op, ["x"], outputs, **attributes)], "pool", [x], results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": data})[0].ravel()


alone = maxima("MaxPool", ["y"], data, kernel_shape=[2])
with_indices = maxima("MaxPool", ["y", "indices"], data, kernel_shape=[2])
whole = maxima("GlobalMaxPool", ["y"], data[..., :3])
print(f"{ort.__version__}: alone {alone}, with indices {with_indices}, GlobalMaxPool {whole}")
lowest = np.finfo(np.float32).min
assert alone[0] == lowest and whole[0] == lowest, "windows of -infinity gave the lowest float"
assert np.isneginf(with_indices[:2]).all(), "with Indices they gave -infinity"
PYTHON
for version in 1.30.0 1.32.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.20.0 numpy==2.2.6
  "$folder/$version/bin/python" "$folder/pool.py"
done
