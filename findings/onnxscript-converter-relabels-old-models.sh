#!/usr/bin/env bash
# onnxscript's version converter changes the opset number of an old model and not its nodes; of a ModelProto, the nodes and not the
# number.
#
# Versions: onnxscript 0.7.2, onnx-ir 1.1.0, onnx 1.23.2, onnxruntime 1.32.0 (CPU, optimizations off), numpy 2.4.6,
# Python 3.11 or later.
# Expected by most: what cannot be converted is refused, as a target is: "Target opset version 17 is not supported. Supported
# range: 18 to 25." The signature takes an ir.Model or an onnx.ModelProto, and changes either in place.
# Seen: only the target is looked at. A model of opset 11 asked to become 21 comes back as opset 21 with its nodes as they were, and
# nothing is raised: Softmax, LogSoftmax and Hardmax, whose meaning changed in between, give other numbers, and the checker agrees.
# With fallback=True, which is not the default, Softmax is right. A ModelProto of opset 19 asked to become 20 gets the nodes of
# opset 20 (GridSample's mode "linear", DFT's axis as an input) under the number 19, and the runtime refuses it.
# Why it matters: most files on the web are older than opset 18. A classifier over a feature map is then normalised over its last
# axis in place of all: its numbers still add up to 1 somewhere, and every tool that reads the file believes the new number.
# Source: measured here; the definitions of Softmax, LogSoftmax and Hardmax in onnx's Changelog.md, versions 11 and 13; the end of
# convert_version in onnxscript/version_converter/__init__.py copies the graph alone into a ModelProto.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxscript==0.7.2 onnx-ir==1.1.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat >"$folder/relabel.py" <<'PYTHON'
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper
from onnxscript import version_converter

ort.set_default_logger_severity(4)
x = np.random.default_rng(0).standard_normal([2, 3, 4]).astype(np.float32)


def model(operator, kind, shape, opset=11, others=(), **attributes):
    """A model of one node that reads x, and constants."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *(tensor.name for tensor in others)], ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
        list(others),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def converted(made, **options):
    changed = ir.from_proto(made)
    version_converter.convert_version(changed, 21, **options)
    result = ir.to_proto(changed)
    assert result.opset_import[0].version == 21
    return result


def softmax(rows):
    powers = np.exp(rows - rows.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def hardmax(rows):
    return (np.arange(rows.shape[-1]) == rows.argmax(-1)[..., None]).astype(np.float32)


number = onnx.TensorProto.FLOAT
functions = {"Softmax": softmax, "LogSoftmax": lambda rows: np.log(softmax(rows)), "Hardmax": hardmax}
for operator, function in functions.items():
    made = model(operator, number, x.shape)
    exact = function(x.reshape(2, 12)).reshape(x.shape)
    assert np.abs(run(made) - exact).max() < 1e-5, "opset 11 takes all axes from the first on"
    result = converted(made)
    onnx.checker.check_model(result, full_check=True)
    assert len(result.graph.node) == 1
    found = run(result)
    print(f"{operator}: from 11 to 21 off by {np.abs(found - exact).max():.1e}")
    assert np.abs(found - exact).max() > 0.1 and np.abs(found - function(x)).max() < 1e-5

made = model("Softmax", number, x.shape)
fallen = converted(made, fallback=True)
assert np.abs(run(fallen) - run(made)).max() < 1e-5, "onnx's converter knows Softmax"

added = model("Relu", number, x.shape)
assert np.array_equal(run(converted(added)), run(added)), "what did not change is right"

points = helper.make_tensor("points", number, [2, 2, 2, 2], np.linspace(-1, 1, 16))
x = x.reshape(2, 1, 3, 4)
proto = model("GridSample", number, [2, 1, 2, 2], 19, [points], mode="bilinear")
before = run(proto)
version_converter.convert_version(proto, 20)
mode = next(each.s.decode() for each in proto.graph.node[0].attribute if each.name == "mode")
print("a ModelProto of opset 19 asked to become 20 has the number", proto.opset_import[0].version, "and the mode", mode)
assert proto.opset_import[0].version == 19 and mode == "linear"
refusal = None
try:
    run(proto)
except Exception as error:
    refusal = str(error).splitlines()[0]
print("the runtime:", refusal)
assert refusal and "mode" in refusal
proto.opset_import[0].version = 20
assert np.abs(run(proto) - before).max() < 1e-5, "with the right number it is right"

try:
    version_converter.convert_version(ir.from_proto(added), 17)
    raise AssertionError("the target 17 is taken")
except ValueError as refusal:
    print("a target below 18:", refusal)
PYTHON
"$folder/venv/bin/python" "$folder/relabel.py"
