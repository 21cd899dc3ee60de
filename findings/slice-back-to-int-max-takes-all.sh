#!/usr/bin/env bash
# ONNX Runtime's Slice backwards to the end 2147483647 takes the whole axis; to 2147483646 it takes nothing, as it infers for both.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: an end beyond the axis is clamped, whichever number it is. From element 4 backwards to an end past the axis
# nothing is left, as in numpy (`x[:, 4:2147483647:-1]`), in ONNX's shape inference and in its reference evaluator.
# Seen: with the largest int32 or int64 as the end, ONNX Runtime gives all five elements in reverse order, though the session
# states [2, 0] as the output's shape; with any smaller number it gives none. Inside the graph both views meet: Shape of the
# sliced tensor, folded when the session is made, is [2, 0], and that tensor's own result is [2, 5].
# Why it matters: exporters write the largest number for "no end". A tool that computes shapes, gradients or buffers by the
# specification has an empty tensor where the runtime has data, and one part of a model can disagree with another.
# Source: https://github.com/microsoft/onnxruntime/issues/11107 (open since 2022); the folded Shape was found and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/slice.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)
x = np.arange(10, dtype=np.float32).reshape(2, 5)


def sliced(end, dtype):
    """Shapes: of the result, that the session states for it, that the graph computes by Shape, and by the reference."""
    nodes = [
        helper.make_node("Slice", ["x", "start", "end", "axis", "step"], ["back"]),
        helper.make_node("Neg", ["back"], ["y"]),
        helper.make_node("Shape", ["back"], ["shape"]),
    ]
    numbers = {"start": 4, "end": end, "axis": 1, "step": -1}
    constants = [numpy_helper.from_array(np.array([number], dtype), name) for name, number in numbers.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5])]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "columns"]),
        helper.make_tensor_value_info("shape", TensorProto.INT64, [2]),
    ]
    graph = helper.make_graph(nodes, "slice", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, shape = session.run(None, {"x": x})
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0]
    return y.shape, tuple(session.get_outputs()[0].shape), tuple(shape), reference.shape


print(ort.__version__)
for end, dtype in ((2**31 - 1, np.int32), (2**31 - 1, np.int64), (2**63 - 1, np.int64)):
    found = sliced(end, dtype)
    print(end, dtype.__name__, found)
    assert found == ((2, 5), (2, 0), (2, 0), (2, 0)), "the runtime reverses the axis, and states an empty shape"
for end in (5, 1000, 2**31 - 2, 2**31):
    found = sliced(end, np.int64)
    print(end, found)
    assert found == ((2, 0),) * 4, "any other end beyond the axis leaves nothing"
PYTHON
for version in 1.30.0 1.32.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.20.0 numpy==2.2.6
  "$folder/$version/bin/python" "$folder/slice.py"
done
