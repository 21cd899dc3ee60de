#!/usr/bin/env bash
# NegativeLogLikelihoodLoss in onnx's reference evaluator divides by the ignored labels too, if the mark is -1.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: the mean is over the labels that are not ignored, whichever number marks the ignored ones.
# Seen: two of four labels ignored, each loss 1: with ignore_index 1 or -100 the mean is 1, with ignore_index -1 it is 0.5;
# ONNX Runtime gives 1 each time.
# Why it matters: -1 is a usual mark for padding and for pixels without a class; losses computed with the evaluator, or
# checked against it, are too small by the share of these, and gradients with them. Tests with PyTorch's -100 do not show it.
# Source: the definition of NegativeLogLikelihoodLoss in onnx (reduction, ignore_index), and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/reference_nll_mean_counts_ignored_labels.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



def means(ignored, labels):
    """Of the evaluator and of ONNX Runtime, where every loss is 1."""
    feeds = {"x": np.full([4, 3], -1, np.float32), "t": np.array(labels, np.int64)}
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()]
    node = helper.make_node("NegativeLogLikelihoodLoss", ["x", "t"], ["y"], reduction="mean", ignore_index=ignored)
    graph = helper.make_graph([node], "nll", infos, [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(ReferenceEvaluator(model).run(None, feeds)[0]), float(session.run(None, feeds)[0])


for ignored in (1, -1, -100):
    found = means(ignored, [0, ignored, 2, ignored])
    print(f"onnx {onnx.__version__}, ignore_index {ignored}: reference {found[0]}, onnxruntime {found[1]}")
    assert found == ((0.5, 1.0) if ignored == -1 else (1.0, 1.0))
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_nll_mean_counts_ignored_labels.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_nll_mean_counts_ignored_labels.py"
