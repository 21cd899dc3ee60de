#!/usr/bin/env bash
# torch.onnx.export(dynamo=False) keeps the negative axes of unfold and permute: windows change places, or the file is invalid.
#
# Versions: torch 2.15.0, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: unfold(-2, ...) and unfold(1, ...) of a tensor of rank 3 are the same, in a file as in PyTorch; and
# permute(0, -1, 1) is a Transpose by [0, 2, 1].
# Seen: unfold is exported as slices that get one more axis and are joined along the axis as it was written. Counted from the
# end of the larger rank, -2 is another axis: the file gives [1, 3, 2, 2] where the module gives [1, 2, 3, 2], without an
# error. permute is exported with perm = [0, -1, 1], which ONNX does not allow; the exporter checks nothing, and the runtime
# refuses the file. With dynamo=True both are right.
# Why it matters: patches of time series are cut by unfold(-2, ...) (PatchTST does); what follows often broadcasts, so the
# model trains and predicts on rows that were never patches. Blocks of state-space models permute with negative axes.
# Source: PyTorch's documentation of unfold and permute, which count negative axes from the end of the input; perm of
# Transpose in onnx; measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/axes.py" <<'PYTHON'
import io
import warnings

import onnx
import onnxruntime as ort
import torch

warnings.simplefilter("ignore")
ort.set_default_logger_severity(4)


class Patches(torch.nn.Module):
    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        return x.unfold(self.axis, 2, 2)


class Turned(torch.nn.Module):
    def forward(self, x):
        return x.permute(0, -1, 1)


def exported(module, x, dynamo):
    if dynamo:
        return torch.onnx.export(module, (x,), dynamo=True, input_names=["x"], verbose=False).model_proto.SerializeToString()
    file = io.BytesIO()
    torch.onnx.export(module, (x,), file, dynamo=False, opset_version=18, input_names=["x"])
    return file.getvalue()


def run(data, x):
    return torch.tensor(ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x.numpy()})[0])


x = torch.arange(12.0).reshape(1, 4, 3)
for axis, dynamo, shape in ((1, False, [1, 2, 3, 2]), (-2, False, [1, 3, 2, 2]), (-2, True, [1, 2, 3, 2])):
    expected, found = Patches(axis)(x), run(exported(Patches(axis), x, dynamo), x)
    print(f"unfold({axis}, 2, 2), dynamo={dynamo}: PyTorch {list(expected.shape)}, its file {list(found.shape)}")
    assert list(expected.shape) == [1, 2, 3, 2] and list(found.shape) == shape, "the export has changed"
    assert torch.equal(expected, found) == (shape == [1, 2, 3, 2])
written = exported(Turned(), x, False)
(perm,) = [list(a.ints) for node in onnx.load_from_string(written).graph.node if node.op_type == "Transpose" for a in node.attribute]
try:
    run(written, x)
    refused = ""
except Exception as error:
    refused = str(error)
print(f"permute(0, -1, 1): perm {perm}; {refused[:160]}")
assert perm == [0, -1, 1] and "perm" in refused, "the export has changed"
assert torch.equal(run(exported(Turned(), x, True), x), Turned()(x))
PYTHON
"$folder/venv/bin/python" "$folder/axes.py"
