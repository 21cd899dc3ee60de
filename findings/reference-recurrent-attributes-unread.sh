#!/usr/bin/env bash
# onnx's reference evaluator runs LSTM and GRU without clip, input_forget, activations and sequence_lens, and says nothing.
#
# Versions: onnx 1.20.1 and 1.23.2, onnxruntime 1.32.0 (CPU), numpy 2.4.6, Python 3.11 or later.
# Expected by most: the evaluator, which others take for the definition in code, computes what the attributes ask for or
# refuses them.
# Seen: an LSTM gives bit for bit the same numbers with clip=0.1, with input_forget=1, with other activations and with
# sequence_lens as without them. ONNX Runtime's differ each time, and equal the evaluator's only where none of these is given.
# Why it matters: whoever checks a converter or a runtime against the evaluator sees a difference and looks for it on the
# wrong side, or tests with defaults alone and sees none. Padded sequences (sequence_lens) are the ordinary case of LSTM
# files.
# Source: the definition of LSTM in onnx (attributes clip, input_forget, activations; input sequence_lens), and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/reference_recurrent_attributes_unread.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from onnx.reference import ReferenceEvaluator

ort.set_default_logger_severity(4)



rng = np.random.default_rng(0)
X = rng.standard_normal([4, 2, 5]).astype(np.float32)
W = rng.standard_normal([1, 12, 5]).astype(np.float32)
R = rng.standard_normal([1, 12, 3]).astype(np.float32)
B = rng.standard_normal([1, 24]).astype(np.float32)


def last_states(lengths=None, **attributes):
    """The last hidden state of the evaluator and of ONNX Runtime."""
    feeds = {"X": X, "W": W, "R": R, "B": B}
    names = ["X", "W", "R", "B"]
    if lengths is not None:
        feeds["lengths"] = np.array(lengths, np.int32)
        names.append("lengths")
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()]
    node = helper.make_node("LSTM", names, ["", "Y_h"], hidden_size=3, **attributes)
    output = helper.make_tensor_value_info("Y_h", onnx.TensorProto.FLOAT, [1, 2, 3])
    graph = helper.make_graph([node], "lstm", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, feeds)[0], session.run(None, feeds)[0]


plain, runtime = last_states()
assert np.allclose(plain, runtime, atol=1e-5), "without attributes both agree"
for what, asked in {
    "clip": {"clip": 0.1},
    "input_forget": {"input_forget": 1},
    "activations": {"activations": ["HardSigmoid", "Softsign", "Relu"]},
    "sequence_lens": {"lengths": [2, 4]},
}.items():
    reference, runtime = last_states(**asked)
    print(f"onnx {onnx.__version__}, {what}: reference {reference.ravel()[:3]}, onnxruntime {runtime.ravel()[:3]}")
    assert np.array_equal(reference, plain), f"the evaluator reads {what} now"
    assert not np.allclose(runtime, plain, atol=1e-3)
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.20.1 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_recurrent_attributes_unread.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/reference_recurrent_attributes_unread.py"
