#!/usr/bin/env bash
# ONNX Runtime's DFT is precise only where the length is a power of two.
#
# Versions: onnxruntime 1.30.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: a float32 Fourier transform of 400 numbers, the frame of Whisper and of many speech models, is right
# to some 1e-6 of its largest value, as that of 512 numbers is.
# Seen: the error at 400 is more than 20 times that at 512 (about 7e-5 of the largest value), and grows with the length.
# Why it matters: spectrograms and the gradients of trained windows lose two digits without a word; a matrix product
# with stored sines and cosines is both more precise and, at this length, faster.
# Source: measured here against numpy's float64 transform; the operator is defined in ONNX's docs/Operators.md, DFT.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.30.0 onnx==1.20.0 numpy==2.2.6
cat >"$folder/dft.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

ort.set_default_logger_severity(3)


def error(length):
    """Largest error of the runtime's transform, against the largest value of the true one."""
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"])
    axis = helper.make_tensor("axis", TensorProto.INT64, [], [1])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, length, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "dft", [x], [y], [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    signal = np.random.default_rng(1).standard_normal((8, length, 1)).astype(np.float32)
    (found,) = session.run(None, {"x": signal})
    true = np.fft.fft(signal[..., 0].astype(np.float64), axis=1)
    return np.abs(found[..., 0] + 1j * found[..., 1] - true).max() / np.abs(true).max()


errors = {length: error(length) for length in (256, 400, 480, 512)}
for length, found in errors.items():
    print(f"length {length}: {found:.1e}")
precise = max(errors[256], errors[512])
assert precise < 5e-6, "powers of two were precise"
assert errors[400] > 20 * precise and errors[480] > 20 * precise, "other lengths were not"
PYTHON
"$folder/venv/bin/python" "$folder/dft.py"
