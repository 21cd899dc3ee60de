#!/usr/bin/env bash
# ONNX Runtime fails at run time where a Pad with axes stands between two transpositions.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: Transpose, Pad with the input `axes` (ONNX's own since opset 18), and the transposition back run with
# optimisations as they do without.
# Seen: with optimisations the session loads, and its first run fails in a Gather that is not in the model: "indices
# element out of data bounds". Moving the transposition past the Pad permutes the pads as if they covered every axis. With
# pads for every axis and no `axes`, or with one transposition only, it runs.
# Why it matters: layout changes around padded convolutions have this form, in exports and in gradients; a loaded model
# is no sign that it runs, and the message names nothing of the user's. Whoever writes graphs should pad every axis.
# Source: found while differentiating networks twice, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/pad.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(4)
x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def ran(pads, axes, back=True, optimised=True):
    """The result's shape, or the error of the run."""
    given = {"pads": pads} if axes is None else {"pads": pads, "axes": axes}
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Pad", ["turned", "pads"] + ([] if axes is None else ["", "axes"]), ["padded"]),
        helper.make_node("Transpose" if back else "Identity", ["padded"], ["y"], **({"perm": [0, 2, 1]} if back else {})),
    ]
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in given.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None, None])]
    graph = helper.make_graph(nodes, "pad", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        return session.run(None, {"x": x})[0].shape
    except Exception as error:
        return str(error)


failed = ran([1, 2], [1])
print(f"{ort.__version__}: {failed[:200]}")
assert "out of data bounds" in failed, "the run failed"
assert ran([1, 2], [1], optimised=False) == (2, 3, 7)
assert ran([1, 2], [1], back=False) == (2, 7, 3)
assert ran([0, 1, 0, 0, 2, 0], None) == (2, 3, 7)
PYTHON
for version in 1.30.0 1.32.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.20.0 numpy==2.2.6
  "$folder/$version/bin/python" "$folder/pad.py"
done
