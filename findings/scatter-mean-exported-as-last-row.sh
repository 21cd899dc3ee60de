#!/usr/bin/env bash
# torch.onnx.export writes scatter_reduce with "mean" as a ScatterElements without a reduction: the last row is kept, not the mean.
#
# Versions: torch 2.15.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: a reduction that the file format lacks is refused. ScatterElements knows add, mul, min and max; sum, prod,
# amin and amax of scatter_reduce are exported as these.
# Seen: "mean" is exported too, as reduction "none", without a warning. Of several rows for one place the last is left, and the
# row that was there before does not count: [2, 4] in PyTorch, [1, 4] from the file.
# Why it matters: mean pooling over the neighbours of a graph's nodes and over pieces of words is a scatter_reduce with "mean".
# The file gives other outputs, and gradients that reach one row of each group only.
# Source: ScatterElements in onnx, which says that equal indices are an error unless there is a reduction; measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/scattered.py" <<'PYTHON'
import warnings

import onnxruntime as ort
import torch

warnings.simplefilter("ignore")


class Scattered(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, start, places, rows):
        return start.scatter_reduce(0, places, rows, reduce=self.how, include_self=True)


asked = {
    "start": torch.tensor([1.0, 4.0]),
    "places": torch.tensor([0, 0]),
    "rows": torch.tensor([4.0, 1.0]),
}
for how, right in (("sum", True), ("amax", True), ("mean", False)):
    module = Scattered(how)
    exported = torch.onnx.export(module, tuple(asked.values()), dynamo=True, input_names=list(asked), verbose=False)
    proto = exported.model_proto
    reductions = [a.s.decode() for node in proto.graph.node if node.op_type == "ScatterElements"
                  for a in node.attribute if a.name == "reduction"]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in asked.items()})
    expected = module(*asked.values()).tolist()
    print(f"{how}: PyTorch {expected}, its file {found.tolist()}, reduction {reductions}")
    assert (found.tolist() == expected) == right, f"{how}: the export has changed"
PYTHON
"$folder/venv/bin/python" "$folder/scattered.py"
