#!/usr/bin/env bash
# ONNX Runtime multiplies the transpose of a matrix by a vector wrongly: x.T @ v comes out as other numbers, without an error.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU, default options), onnx 1.23.2, numpy 2.4.6, Python 3.11 or later.
# Expected by most: MatMul(Transpose(x), v) with a vector v is the product; NumPy, onnx's reference evaluator and ONNX Runtime
# without graph optimisations agree on it.
# Seen: for x = [[1, 2, 3], [4, 5, 6]] and v = [1, 10] the product is [41, 52, 63], and ONNX Runtime returns [21, 43, 65]:
# the elements of x are read in the order in which they are stored, as if nothing had been transposed. Stacks of matrices go
# wrong in the same way. The product is right if v is a column of shape [2, 1], if v stands on the left, and if graph
# optimisations are off: the optimiser fuses the transposition with the product, and the fused product ignores it for a vector.
# Why it matters: a weighted sum of rows, x.transpose(-1, -2) @ v, is how attention pooling, power iterations and linear
# scores are often written. The shapes fit, so nothing points at the runtime, and the exported model seems to be wrong.
# Source: MatMul in onnx, which defines the product as numpy.matmul does, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/transposed_matrix_times_vector.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)


def product(x, v, vector_first=False):
    """The product of the transpose of x and v by the runtime, by the runtime unoptimised, and by the reference."""
    rank = x.ndim
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    operands = ["v", "t"] if vector_first else ["t", "v"]
    shape = np.matmul(*((v, np.swapaxes(x, -1, -2)) if vector_first else (np.swapaxes(x, -1, -2), v))).shape
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["x"], ["t"], perm=swapped), helper.make_node("MatMul", operands, ["y"])],
        "product",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(a.shape)) for name, a in (("x", x), ("v", v))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(shape))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    feeds = {"x": x, "v": v}
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    sessions = [ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
                for options in (ort.SessionOptions(), plain)]
    return [session.run(None, feeds)[0] for session in sessions] + [ReferenceEvaluator(model).run(None, feeds)[0]]


x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
v = np.array([1, 10], np.float32)
for name, asked, wrong in (
    ("matrix times vector", (x, v), True),
    ("stack of matrices times vector", (np.stack([x, 2 * x]), v), True),
    ("matrix times column", (x, v[:, None]), False),
    ("vector times matrix", (x, np.array([1, 10, 100], np.float32), True), False),
):
    optimised, plain, reference = product(*asked)
    print(f"onnxruntime {ort.__version__}, {name}: {optimised.ravel()}, unoptimised {plain.ravel()}, reference {reference.ravel()}")
    assert np.array_equal(plain, reference)
    assert np.array_equal(optimised, reference) != wrong, f"{name}: the result has changed"
PYTHON
python3 -m venv "$folder/venv"
for version in 1.30.0 1.32.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.23.2 numpy==2.4.6
  "$folder/venv/bin/python" "$folder/transposed_matrix_times_vector.py"
done
