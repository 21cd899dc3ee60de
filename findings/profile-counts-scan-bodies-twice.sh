#!/usr/bin/env bash
# Times by node in ONNX Runtime's profile add up to twice the run where a model has a Scan.
#
# Versions: onnxruntime 1.30.0 (CPU), onnx 1.20.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: events of the category "Node" that end in "_kernel_time" are disjoint, so that their sum is the run.
# Seen: a Scan's own event spans all of its steps, and the nodes of its body have events of their own beside it, with nothing
# that says to which Scan they belong. For a Scan that does all the work of a model the sum is 1.6 to 2.1 times the run.
# Why it matters: profiles of recurrent models and of state-space models name the wrong operator as half of the time, and a
# share of 50 % is shown where it is 100 %.
# Source: measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.30.0 onnx==1.20.0 numpy==2.2.6
cat >"$folder/profile.py" <<'PYTHON'
import json
import os
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

width, steps = 256, 64
os.chdir(sys.argv[1])


def info(name, dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


body = helper.make_graph(
    [
        helper.make_node("MatMul", ["state", "weight"], ["product"]),
        helper.make_node("Add", ["product", "x"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["next"]),
        helper.make_node("Identity", ["next"], ["y"]),
    ],
    "body",
    [info("state", [width, width]), info("x", [width, width])],
    [info("next", [width, width]), info("y", [width, width])],
)
graph = helper.make_graph(
    [helper.make_node("Scan", ["start", "xs"], ["last", "ys"], num_scan_inputs=1, body=body)],
    "recurrent",
    [info("start", [width, width]), info("xs", [steps, width, width])],
    [info("last", [width, width]), info("ys", [steps, width, width])],
    [numpy_helper.from_array(np.eye(width, dtype=np.float32) / 2, "weight")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
options = ort.SessionOptions()
options.enable_profiling = True
options.intra_op_num_threads = 1
session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
feeds = {"start": np.zeros((width, width), np.float32), "xs": np.ones((steps, width, width), np.float32)}
for _ in range(3):
    session.run(None, feeds)
events = json.load(open(session.end_profiling()))
kernels = [event for event in events if event["cat"] == "Node" and event["name"].endswith("_kernel_time")]
everything = sum(event["dur"] for event in kernels)
runs = sum(event["dur"] for event in events if event["name"] == "model_run")
scans = sum(event["dur"] for event in kernels if event["args"]["op_name"] == "Scan")
print(f"nodes {everything / runs:.2f} of the runs, the Scan alone {scans / runs:.2f}")
assert scans / runs > 0.9 and everything / runs > 1.5, "nodes of a body were counted beside their Scan"
PYTHON
"$folder/venv/bin/python" "$folder/profile.py" "$folder"
