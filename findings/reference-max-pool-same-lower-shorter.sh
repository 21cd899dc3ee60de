#!/usr/bin/env bash
# MaxPool with SAME_LOWER in onnx's reference evaluator has one output less than AveragePool with the same attributes.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: ceil(length / stride) outputs for both, as inferred, and as for SAME_UPPER.
# Seen: 7 rows, kernel 3, stride 2, SAME_LOWER: onnx infers 4 rows for both; the evaluator's AveragePool and ONNX Runtime's
# two pools give 4, the evaluator's MaxPool 3. With SAME_UPPER all give 4.
# Why it matters: SAME_LOWER is what converters from Caffe and Darknet write before detection heads; a check against the
# evaluator fails for the one pool and not for the other.
# Source: the definitions of MaxPool and AveragePool in onnx (auto_pad), and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/reference_max_pool_same_lower_shorter.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



x = np.arange(7, dtype=np.float32).reshape(1, 1, 7)


def lengths(op, padding):
    node = helper.make_node(op, ["x"], ["y"], auto_pad=padding, kernel_shape=[3], strides=[2])
    infos = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", "c", "length"])
    graph = helper.make_graph([node], "pool", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runs = ReferenceEvaluator(model).run(None, {"x": x})[0].shape[2], session.run(None, {"x": x})[0].shape[2]
    return inferred.dim[2].dim_value, *runs


for op in ("AveragePool", "MaxPool"):
    for padding in ("SAME_UPPER", "SAME_LOWER"):
        found = lengths(op, padding)
        print(f"onnx {onnx.__version__}, {op} {padding}: inferred {found[0]}, reference {found[1]}, onnxruntime {found[2]}")
        assert found == ((4, 3, 4) if (op, padding) == ("MaxPool", "SAME_LOWER") else (4, 4, 4))
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_max_pool_same_lower_shorter.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_max_pool_same_lower_shorter.py"
