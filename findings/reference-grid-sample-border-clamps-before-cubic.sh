#!/usr/bin/env bash
# GridSample cubic with padding_mode border: onnx's reference evaluator moves the point to the border before it interpolates.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: cubic interpolation at a point beyond the border uses the border's value in place of each of the 16
# neighbours that lie outside, as PyTorch's grid_sample does, from which the operator was taken.
# Seen: the evaluator clamps the point itself first, so that beyond the border its result does not change any more; ONNX
# Runtime clamps each neighbour, and agrees with the formula written out here (and with torch 2.15, not installed here, to
# 5e-7). Differences are as large as the image's own.
# Why it matters: a gradient by the grid is 0 beyond the border in one reading and not in the other; a converter that was
# tested against the evaluator draws other edges than the model it came from.
# Source: the definition of GridSample in onnx, torch.nn.functional.grid_sample, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/reference_grid_sample_border_clamps_before_cubic.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



image = np.random.default_rng(0).standard_normal([1, 1, 1, 5]).astype(np.float32)


def weights(t, a=-0.75):
    near = lambda d: (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = lambda d: a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.array([far(1 + t), near(t), near(1 - t), far(2 - t)])


def by_formula(column):
    left = int(np.floor(column))
    neighbours = [image[0, 0, 0, min(max(left + k, 0), 4)] for k in (-1, 0, 1, 2)]
    return float(weights(column - left) @ neighbours)


def sampled(column):
    grid = np.array([[[[column / 2 - 1, 0]]]], np.float32)
    node = helper.make_node("GridSample", ["x", "g"], ["y"], mode="cubic", padding_mode="border", align_corners=1)
    infos = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, v.shape) for n, v in (("x", image), ("g", grid))]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1, 1, 1])
    model = helper.make_model(
        helper.make_graph([node], "sample", infos, [output]), opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    onnx.checker.check_model(model, full_check=True)
    feeds = {"x": image, "g": grid}
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(ReferenceEvaluator(model).run(None, feeds)[0].item()), float(session.run(None, feeds)[0].item())


for column in (2.3, 4.4, 4.7):
    reference, runtime = sampled(column)
    print(f"onnx {onnx.__version__}, column {column}: reference {reference:.5f}, onnxruntime {runtime:.5f}, formula {by_formula(column):.5f}")
    assert abs(runtime - by_formula(column)) < 1e-5
    if column < 4:
        assert abs(reference - runtime) < 1e-5
    else:
        assert abs(reference - image[0, 0, 0, 4]) < 1e-5, "beyond the border the evaluator's result is the border's value"
        assert abs(reference - runtime) > 1e-3
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_grid_sample_border_clamps_before_cubic.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_grid_sample_border_clamps_before_cubic.py"
