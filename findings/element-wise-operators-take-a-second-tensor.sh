#!/usr/bin/env bash
# On ONNX Runtime's CPU, Relu, Tanh and Softmax write over their input, but Exp, Neg, Sqrt, Add and Mul never do, even where
# nothing else reads it.
#
# Versions: onnxruntime 1.30.0 and 1.32.0 (CPU, Linux), onnx 1.23.2, numpy 2.4.6, Python 3.11 or later.
# Expected by most: the other way round. An element-wise operator is the textbook case for computing in place, and a Softmax,
# which reads each row three times, is not; PyTorch's in-place variants too are there for all element-wise functions.
# Seen, with the memory arena and all optimizations switched off, for an intermediate tensor of 64 MiB: beyond what the session
# holds, a run takes about 1 such tensor for MatMul and Relu, LeakyRelu, Tanh, Sigmoid, Clip, Softmax or LogSoftmax; 2 for MatMul
# and Exp, Log, Sqrt, Neg, Abs, Erf, Reciprocal, Gelu or a product with a scalar; 3 for the sum or the product of two MatMuls.
# Why it matters: whoever plans memory by hand (batch sizes, the order of nodes, a softmax written out as Exp and Div "in place")
# plans one tensor too few for nearly every node: writing out a Softmax of a language model's logits costs as many bytes more as
# it was to save.
# Source: measured here; the kernels' registrations (MayInplace) decide it, and no page of the documentation lists them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/in_place.py" <<'PYTHON'
import os
import subprocess
import sys

kinds = {
    "one": ["Relu", "LeakyRelu", "Tanh", "Sigmoid", "Clip", "Softmax", "LogSoftmax"],
    "two": ["Exp", "Log", "Sqrt", "Neg", "Abs", "Erf", "Reciprocal", "Gelu", "MulByScalar"],
    "three": ["Add", "Sub", "Mul", "Div", "Max", "Sum"],
}
tensors = {"one": 1, "two": 2, "three": 3}


def peak_of(op):
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    nodes = [node("MatMul", ["x", "w"], ["m"])]
    if op in kinds["three"]:
        nodes += [node("MatMul", ["x", "v"], ["k"]), node(op, ["m", "k"], ["t"])]
    elif op == "MulByScalar":
        nodes.append(node("Mul", ["m", "half"], ["t"]))
    elif op == "Clip":
        nodes.append(node("Clip", ["m", "half"], ["t"]))
    else:
        nodes.append(node(op, ["m"], ["t"]))
    nodes.append(node("ReduceSum", ["t"], ["y"], keepdims=0))
    rng = np.random.default_rng(0)
    stored = {"w": rng.random((64, 8192), np.float32), "v": rng.random((64, 8192), np.float32), "half": np.float32(0.5)}
    read = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes,
        "in_place",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items() if name in read],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"x": rng.random((2048, 64), np.float32)}

    def kilobytes(key):
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(key))

    for _ in range(2):
        session.run(None, feeds)
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = kilobytes("VmRSS")
    session.run(None, feeds)
    return (kilobytes("VmHWM") - before) * 1024 / (2048 * 8192 * 4)


if len(sys.argv) > 1:
    print(peak_of(sys.argv[1]))
    sys.exit()

import onnxruntime

# What is freed goes back at once, so that the peak is what is alive.
environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
for kind, ops in kinds.items():
    for op in ops:
        done = subprocess.run([sys.executable, __file__, op], env=environment, check=True, capture_output=True, text=True)
        found = float(done.stdout)
        print(f"onnxruntime {onnxruntime.__version__}, MatMul and {op}: {found:.2f} tensors")
        assert abs(found - tensors[kind]) < 0.3, f"{op} takes {found} tensors, not {kind}"
PYTHON
python3 -m venv "$folder/venv"
for version in 1.30.0 1.32.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx==1.23.2 numpy==2.4.6
  "$folder/venv/bin/python" "$folder/in_place.py"
done
