#!/usr/bin/env bash
# Resize with align_corners and scales: onnx's reference evaluator and ONNX Runtime disagree about every point but the first.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: align_corners puts the first and the last output on the first and the last input, whatever the scale.
# Seen: 6 columns by a scale of 0.4 are floor(2.4) = 2. ONNX Runtime gives columns 0 and 5. The evaluator divides by the
# length before rounding, 2.4 - 1, and gives column 0 and something near column 3.6; by sizes in place of scales both give
# columns 0 and 5.
# Why it matters: exporters write align_corners with scales whenever a scale factor was given; the corner is not aligned in
# the evaluator, so a check of such a model fails though the model is right.
# Source: the definition of Resize in onnx (length_resized), and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/resize_align_corners_by_unrounded_length.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



x = np.arange(6, dtype=np.float32).reshape(1, 1, 6)


def resized(names, **values):
    infos = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    node = helper.make_node("Resize", names, ["y"], mode="linear", coordinate_transformation_mode="align_corners")
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1, 2])
    graph = helper.make_graph([node], "resize", infos, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, {"x": x})[0].ravel(), session.run(None, {"x": x})[0].ravel()


by_scales = resized(["x", "", "scales"], scales=np.array([1, 1, 0.4], np.float32))
by_sizes = resized(["x", "", "", "sizes"], sizes=np.array([1, 1, 2], np.int64))
print(f"onnx {onnx.__version__}: reference and onnxruntime by scales {by_scales}, by sizes {by_sizes}")
assert np.allclose(by_sizes[0], [0, 5]) and np.allclose(by_sizes[1], [0, 5])
assert np.allclose(by_scales[1], [0, 5])
assert by_scales[0][0] == 0 and abs(by_scales[0][1] - 5) > 1, "the evaluator aligns the last corner now"
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/resize_align_corners_by_unrounded_length.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/resize_align_corners_by_unrounded_length.py"
