#!/usr/bin/env bash
# A dilated pooling with SAME padding has fewer outputs in ONNX Runtime than ONNX defines and infers.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11 or later.
# Expected by most: SAME padding gives ceil(length / stride) outputs on every axis, as the operators' definitions say, or an
# error: a convolution with both attributes is refused in words.
# Seen: 7 rows, kernel 3, stride 2, dilation 2: onnx infers 4 rows, MaxPool and AveragePool give 3; Conv says that it does not
# take dilation with SAME. The kernel's dilation seems to be left out of the padding and then to count in the length.
# Why it matters: a model whose next layer needs 4 rows fails, and one that averages over the rows runs and gives other
# numbers than in the framework it came from; whatever computes shapes by the definition disagrees with the runtime about a
# model that both accept.
# Source: the definitions of MaxPool and AveragePool in onnx (auto_pad), and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pool_same_padding_forgets_dilation.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

ort.set_default_logger_severity(4)



def shapes(op, inputs, **attributes):
    """By shape inference, and of the result."""
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape) for name, value in inputs.items()]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", "c", "length"])
    node = helper.make_node(op, list(inputs), ["y"], auto_pad="SAME_UPPER", strides=[2], dilations=[2], **attributes)
    graph = helper.make_graph([node], "pool", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [d.dim_value for d in inferred.dim], list(session.run(None, inputs)[0].shape)


x = np.arange(7, dtype=np.float32).reshape(1, 1, 7)
try:
    convolution = shapes("Conv", {"x": x, "w": np.ones([1, 1, 3], np.float32)})
except Exception as refusal:
    convolution = str(refusal).split("Message: ")[-1]
largest = shapes("MaxPool", {"x": x}, kernel_shape=[3])
average = shapes("AveragePool", {"x": x}, kernel_shape=[3])
print(f"onnxruntime {ort.__version__}: inferred and real, Conv {convolution}, MaxPool {largest}, AveragePool {average}")
assert "Dilation not supported" in convolution
assert largest == average == ([1, 1, 4], [1, 1, 3]), "the pools have other lengths than seen before"
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.30.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" "$folder/pool_same_padding_forgets_dilation.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" "$folder/pool_same_padding_forgets_dilation.py"
