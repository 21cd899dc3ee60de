#!/usr/bin/env bash
# ONNX Runtime's SplitToSequence obeys keepdims=0 where a size of 1 is given, which ONNX says is ignored there.
#
# Versions: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.2.6, Python 3.11 or later.
# Expected by most: "If input 'split' is specified, this attribute is ignored" (the definition of keepdims): pieces keep the
# axis that was split, as they do in ONNX's reference evaluator.
# Seen: with the scalar 1 as its second input and keepdims=0 the runtime's pieces lack the axis; with a vector of ones they
# keep it; with the scalar 2 the node fails at run time.
# Why it matters: PyTorch's TorchScript exporter writes torch.unbind in just this form (a size of 1, keepdims=0) and means
# the runtime's result, so that whoever reads such files by the definition gets tensors with one axis more, which broadcast
# without an error.
# Source: the definition of SplitToSequence in onnx, its reference evaluator, and the runtime, on the same models.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.2.6
cat >"$folder/split.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, defs, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.arange(12, dtype=np.float32).reshape(4, 3)
ort.set_default_logger_severity(4)


def shapes(size):
    """Of the first piece, along axis 1: by the runtime, and by the reference."""
    nodes = [
        helper.make_node("SplitToSequence", ["x", "size"], ["pieces"], axis=1, keepdims=0),
        helper.make_node("Constant", [], ["first"], value_int=0),
        helper.make_node("SequenceAt", ["pieces", "first"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "split",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(size, np.int64), "size")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    try:
        (own,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
        runtime = own.shape
    except Exception:
        runtime = "fails"
    return runtime, ReferenceEvaluator(model).run(None, {"x": x})[0].shape


found = {"1": shapes(1), "[1, 1, 1]": shapes([1, 1, 1]), "2": shapes(2)}
print("first pieces (runtime, reference) by the size given:", found)
assert "is ignored" in defs.get_schema("SplitToSequence", 18).attributes["keepdims"].description
assert found == {"1": ((4,), (4, 1)), "[1, 1, 1]": ((4, 1), (4, 1)), "2": ("fails", (4, 2))}
PYTHON
"$folder/venv/bin/python" "$folder/split.py"
