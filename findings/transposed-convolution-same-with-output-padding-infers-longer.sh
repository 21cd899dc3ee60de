#!/usr/bin/env bash
# ConvTranspose with SAME padding and output_padding: onnx's shape inference gives a longer result than every evaluator.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: a model whose inferred shapes passed the strict check has these shapes when it runs.
# Seen: 5 rows, stride 2, kernel 3, output_padding 1, auto_pad SAME_UPPER: inferred 11 rows; ONNX Runtime and onnx's own
# reference evaluator give 10 (input times stride, as the definition of SAME says). Without auto_pad inference and runs agree.
# Why it matters: sizes that were folded from inferred shapes (a Reshape after the layer) are wrong, and a file that carries
# the inferred shape makes the runtime warn at every run or plan memory for the other one.
# Source: the definition of ConvTranspose in onnx (auto_pad, output_padding), and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/transposed_convolution_same_with_output_padding_infers_longer.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



feeds = {"x": np.ones([1, 1, 5], np.float32), "w": np.ones([1, 1, 3], np.float32)}


def lengths(**attributes):
    infos = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, v.shape) for n, v in feeds.items()]
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], output_padding=[1], **attributes)
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", "c", "length"])
    graph = helper.make_graph([node], "conv", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runs = ReferenceEvaluator(model).run(None, feeds)[0].shape[2], session.run(None, feeds)[0].shape[2]
    return inferred.dim[2].dim_value, *runs


for padding in ("NOTSET", "SAME_UPPER", "SAME_LOWER"):
    found = lengths(auto_pad=padding)
    print(f"onnx {onnx.__version__}, {padding}: inferred {found[0]}, reference {found[1]}, onnxruntime {found[2]}")
    assert found == ((12, 12, 12) if padding == "NOTSET" else (11, 10, 10))
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/transposed_convolution_same_with_output_padding_infers_longer.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/transposed_convolution_same_with_output_padding_infers_longer.py"
