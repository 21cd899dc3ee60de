#!/usr/bin/env bash
# torch.onnx.export(dynamo=False) writes index_add as a ScatterElements that does not add: repeated indices lose rows.
#
# Versions: torch 2.15.0, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: index_add adds up all rows of one index, in a file as in PyTorch; ScatterElements has had
# reduction="add" since opset 16, and the exporter uses it for scatter_add.
# Seen: index_add is exported as an addition of zeros that rows were scattered to without a reduction, so that of several
# rows with one index the last is left. With fixed shapes the exporter refuses repeated indices; with a dynamic axis it warns
# that the model will be incorrect, and exports. With dynamo=True the file is right.
# Why it matters: graph networks, histograms and pooling by index_add have repeated indices by design; their files give
# other outputs, and other gradients, than the module.
# Source: measured here, by the module and by its file on the same input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
cat >"$folder/repeated.py" <<'PYTHON'
import io
import warnings

import onnx
import onnxruntime as ort
import torch

warnings.simplefilter("ignore")


class Added(torch.nn.Module):
    def forward(self, rows):
        places = torch.tensor([0, 2, 2, 1])
        return torch.zeros(rows.shape[0], 3).index_add(1, places, rows)


batch = {"dynamic_axes": {"rows": {0: "N"}}}
rows = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
file = io.BytesIO()
torch.onnx.export(Added(), (rows,), file, dynamo=False, opset_version=18, input_names=["rows"], **batch)
model = onnx.load_from_string(file.getvalue())
scatters = [node for node in model.graph.node if node.op_type == "ScatterElements"]
reductions = [a.s for node in scatters for a in node.attribute if a.name == "reduction"]
(found,) = ort.InferenceSession(file.getvalue()).run(None, {"rows": rows.numpy()})
expected = Added()(rows).tolist()
print("PyTorch:", expected, "its file:", found.tolist(), "reductions:", reductions)
assert expected == [[1.0, 1000.0, 110.0]], "PyTorch adds both"
assert len(scatters) == 1 and b"add" not in reductions, "the file does not add"
assert found.tolist() != expected, "a row is lost"
PYTHON
"$folder/venv/bin/python" "$folder/repeated.py"
