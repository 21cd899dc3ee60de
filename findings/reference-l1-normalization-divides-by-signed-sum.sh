#!/usr/bin/env bash
# LpNormalization with p=1 in onnx's reference evaluator divides by the sum of the numbers, not of their absolute values.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: [3, -4] becomes [3/7, -4/7]: the L1 norm is the sum of absolute values.
# Seen: [3, -4] becomes [-3, 4], and [3, -3] becomes [0, 0]; ONNX Runtime gives [3/7, -4/7] and [0.5, -0.5]. With p=2, and for
# numbers that are not negative, both agree.
# Why it matters: the evaluator is used as an oracle; features after a ReLU hide the fault, and any others change their sign.
# Source: the definition of LpNormalization in onnx, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/reference_l1_normalization_divides_by_signed_sum.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



def normalised(numbers, p):
    x = np.array([numbers], np.float32)
    node = helper.make_node("LpNormalization", ["x"], ["y"], axis=1, p=p)
    infos = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, x.shape)
    model = helper.make_model(
        helper.make_graph([node], "norm", infos, [output]), opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, {"x": x})[0][0], session.run(None, {"x": x})[0][0]


for numbers in ([3, 4], [3, -4], [3, -3]):
    reference, runtime = normalised(numbers, 1)
    print(f"onnx {onnx.__version__}, {numbers}: reference {reference}, onnxruntime {runtime}")
    assert np.allclose(runtime, np.array(numbers) / np.abs(numbers).sum())
    assert np.allclose(*normalised(numbers, 2))
assert np.allclose(normalised([3, -4], 1)[0], [-3, 4]), "the evaluator divides by another number now"
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_l1_normalization_divides_by_signed_sum.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_l1_normalization_divides_by_signed_sum.py"
