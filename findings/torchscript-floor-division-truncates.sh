#!/usr/bin/env bash
# torch.onnx.export(dynamo=False) writes // of integer tensors as Div, which rounds towards zero: -7 // 3 is -2 in the file, not -3.
#
# Versions: torch 2.15.0, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: // rounds down, in a file as in Python and PyTorch; and a // b * b + a % b is a.
# Seen: the operator // is exported as an integer Div, which truncates, while torch.div(rounding_mode="floor") and % are
# exported rightly. In the file -7 // 3 * 3 + -7 % 3 is -4. With dynamo=True all of them are right.
# Why it matters: offsets to a centre, relative positions in buckets and windows that are shifted are negative integers which
# are divided; the file picks another row of a table, silently, for negative numbers only.
# Source: PyTorch's documentation of floor_divide; Div in onnx, which truncates integers; measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/divided.py" <<'PYTHON'
import io
import warnings

import onnxruntime as ort
import torch

warnings.simplefilter("ignore")


class Divided(torch.nn.Module):
    def forward(self, a):
        return a // 3, torch.div(a, 3, rounding_mode="floor"), a % 3


def from_file(dynamo, a):
    if dynamo:
        data = torch.onnx.export(Divided(), (a,), dynamo=True, verbose=False).model_proto.SerializeToString()
    else:
        file = io.BytesIO()
        torch.onnx.export(Divided(), (a,), file, dynamo=False, opset_version=18)
        data = file.getvalue()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return [found.tolist() for found in session.run(None, {session.get_inputs()[0].name: a.numpy()})]


a = torch.tensor([-7, -1, 7])
expected = [found.tolist() for found in Divided()(a)]
assert expected == [[-3, -1, 2], [-3, -1, 2], [2, 2, 1]]
for dynamo, seen in ((False, [[-2, 0, 2], [-3, -1, 2], [2, 2, 1]]), (True, expected)):
    found = from_file(dynamo, a)
    print(f"dynamo={dynamo}: //, div floor, %: PyTorch {expected}, its file {found}")
    assert found == seen, "the export has changed"
PYTHON
"$folder/venv/bin/python" "$folder/divided.py"
