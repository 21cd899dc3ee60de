#!/usr/bin/env bash
# torch.onnx.export(dynamo=False) writes distances of an odd norm without the absolute value: they can come out too small or below zero.
#
# Versions: torch 2.15.0, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: pairwise_distance and cdist with p=1 are sums of absolute differences, in a file as in PyTorch.
# Seen: the file raises the plain difference to the power p and the sum to 1/p. With p=2 that is right. With p=1 positive and
# negative differences cancel: 1 where the distance is 3, and -1 if the arguments change places. The file of pairwise_distance
# by dynamo=True is right.
# Why it matters: triplet and contrastive losses with p=1, and Laplace kernels, are exported this way without a warning, and
# whether anyone notices depends on the signs in the data.
# Source: the definition of the p-norm in PyTorch's documentation; measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/distances.py" <<'PYTHON'
import io
import warnings

import numpy as np
import onnxruntime as ort
import torch

warnings.simplefilter("ignore")


class Pairwise(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, a, b):
        return torch.nn.functional.pairwise_distance(a, b, p=self.p, eps=0.0)


class Every(Pairwise):
    def forward(self, a, b):
        return torch.cdist(a, b, p=self.p)


def from_file(module, a, b, dynamo):
    file = io.BytesIO()
    if dynamo:
        proto = torch.onnx.export(module, (a, b), dynamo=True, input_names=["a", "b"], verbose=False).model_proto
        file = io.BytesIO(proto.SerializeToString())
    else:
        torch.onnx.export(module, (a, b), file, dynamo=False, opset_version=18, input_names=["a", "b"])
    session = ort.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    return session.run(None, {"a": a.numpy(), "b": b.numpy()})[0].ravel()


a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])
for what, module, first, second, dynamo, seen in (
    ("pairwise_distance, p=1", Pairwise(1.0), a, b, False, 1.0),
    ("pairwise_distance, p=1, exchanged", Pairwise(1.0), b, a, False, -1.0),
    ("pairwise_distance, p=1, dynamo", Pairwise(1.0), a, b, True, 3.0),
    ("pairwise_distance, p=2", Pairwise(2.0), a, b, False, 5**0.5),
    ("cdist, p=1", Every(1.0), a, b, False, 1.0),
):
    expected = module(first, second).numpy().ravel()
    found = from_file(module, first, second, dynamo)
    print(f"{what}: PyTorch {expected}, its file {found}")
    assert np.allclose(expected, 3.0 if "p=1" in what else 5**0.5)
    assert np.allclose(found, seen, rtol=1e-5), f"{what}: the export has changed"
PYTHON
"$folder/venv/bin/python" "$folder/distances.py"
