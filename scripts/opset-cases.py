"""Writes test/onnx/opset-cases: small models of the newest opsets, with what ONNX's reference evaluator computes.

Needs Python and the package onnx 1.23.2, which knows opset 28: python scripts/opset-cases.py
Each case is NAME.onnx beside NAME.npz, which holds the model's inputs and, under "out/", its outputs.
"""
import pathlib

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

folder = pathlib.Path(__file__).parent.parent / "test" / "onnx" / "opset-cases"
draw = np.random.default_rng(28)


def floats(*shape):
    return draw.standard_normal(shape).astype(np.float32)


def ints(*values, dtype=np.int64):
    return np.array(values, dtype=dtype)


def case(name, opset, op, inputs, attributes=None, constant=(), outputs=1, samples_at=0):
    """`inputs` are arrays or None; those at the places in `constant` are stored in the file."""
    names = [f"x{k}" if value is not None else "" for k, value in enumerate(inputs)]
    results = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(op, names, results, name="node", **(attributes or {}))
    fed = {name: value for k, (name, value) in enumerate(zip(names, inputs)) if name and k not in constant}
    stored = [numpy_helper.from_array(inputs[k], names[k]) for k in constant]

    def described(name, value):
        shape = [("N" if axis == samples_at else size) for axis, size in enumerate(value.shape)]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape)

    graph = helper.make_graph(
        [node],
        name,
        [described(name, value) for name, value in fed.items()],
        [helper.make_empty_tensor_value_info(name) for name in results],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=13)
    found = ReferenceEvaluator(model).run(None, fed)
    for name_, value in zip(results, found):
        index = results.index(name_)
        graph.output[index].CopyFrom(
            helper.make_tensor_value_info(name_, helper.np_dtype_to_tensor_dtype(value.dtype), None)
        )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=13, producer_name="pergrad test"
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / f"{name}.onnx")
    np.savez(folder / f"{name}.npz", **fed, **{f"out/{name}": value for name, value in zip(results, found)})


# Opset 27

x, w, b, past = floats(3, 4, 5), floats(4, 1, 3), floats(4), floats(3, 4, 2)
case("causal_conv", 27, "CausalConvWithState", [x, w], constant=[1], outputs=2)
case("causal_conv_silu", 27, "CausalConvWithState", [x, w, b], {"activation": "silu"}, [1, 2], 2)
case("causal_conv_past", 27, "CausalConvWithState", [x, w, b, past], {"activation": "swish"}, [1, 2], 2)
case("causal_conv_one", 27, "CausalConvWithState", [x[:, :, :1], w, None, past], {"activation": "none"}, [1], 2)

steps, heads, wide, deep = 4, 2, 3, 2
q, k, v = floats(3, steps, 4 * wide), 0.5 * floats(3, steps, heads * wide), floats(3, steps, heads * deep)
state = floats(3, heads, wide, deep)
by_head, by_key = -np.abs(floats(3, steps, heads)), -np.abs(floats(3, steps, heads * wide))
beta, one_beta = np.abs(floats(3, steps, heads)) / 3, np.abs(floats(3, steps, 1)) / 3
shared = {"q_num_heads": 4, "kv_num_heads": heads}


def attention(name, rule, *more, **attributes):
    case(name, 27, "LinearAttention", [q, k, v, *more], {**shared, "update_rule": rule, **attributes}, outputs=2)


attention("linear_attention", "linear")
attention("linear_attention_past", "linear", state, scale=0.25, chunk_size=2)
attention("linear_attention_gated", "gated", None, by_head)
attention("linear_attention_gated_keys", "gated", state, by_key)
attention("linear_attention_delta", "delta", None, None, beta)
attention("linear_attention_delta_one", "delta", state, None, one_beta)
attention("linear_attention_both", "gated_delta", state, by_key, one_beta)
case(
    "linear_attention_default",
    27,
    "LinearAttention",
    [q[:, :, : 2 * wide], k, v, None, by_head, beta],
    {"q_num_heads": 2, "kv_num_heads": heads},
    outputs=2,
)

# Opset 28

case("swiglu", 28, "SwiGLU", [floats(3, 4), floats(3, 4)])
case("swiglu_alpha", 28, "SwiGLU", [floats(3, 2, 2), floats(3, 2, 2)], {"alpha": 1.702})
for bits in (8, 16, 32, 64):
    kind = np.dtype(f"int{bits}")
    shifted = np.tile(ints(-128, -7, -1, 0, 1, 6, 100, 127, dtype=kind), (3, 1))
    amounts = np.array([[0, 1, 2, 3, bits - 2, bits - 1, 1, 2], [bits, bits + 1, -1, 70, 5, -3, 64, 63], [1] * 8], dtype=kind)
    for direction in ("LEFT", "RIGHT"):
        case(f"bit_shift_{bits}_{direction.lower()}", 28, "BitShift", [shifted, amounts], {"direction": direction})
case("bit_shift_unsigned", 28, "BitShift", [ints([1, 40000, 65535], [3, 2, 1], dtype=np.uint16), ints([15, 2, 9], [16, 1, 0], dtype=np.uint16)], {"direction": "RIGHT"})
numbers = np.array([[5.5, -5.5, 5.5, -5.5, 4.0, -4.0], [0.3, -0.3, 7.25, -7.25, 6.0, 1e-3]], dtype=np.float32)
divisors = np.array([[2.25, 2.25, -2.25, -2.25, 2.0, 2.0], [0.7, 0.7, np.inf, np.inf, -np.inf, -1.0]], dtype=np.float32)
case("mod_floor", 28, "Mod", [numbers, divisors])
case("mod_truncated", 28, "Mod", [numbers, divisors], {"fmod": 1})
case("mod_integers", 28, "Mod", [ints([5, -5, 5, -5], [4, 3, 2, 1]), ints([3, 3, -3, -3], [4, 4, 4, 4])], {"fmod": 1})
case("space_to_depth_crd", 28, "SpaceToDepth", [floats(2, 2, 4, 6)], {"blocksize": 2, "mode": "CRD"})
case("space_to_depth_dcr", 28, "SpaceToDepth", [floats(2, 2, 4, 6)], {"blocksize": 2, "mode": "DCR"})
case("depth_to_space", 28, "DepthToSpace", [floats(2, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"})
case("celu", 28, "Celu", [floats(3, 4)], {"alpha": 0.7})
case("einsum", 28, "Einsum", [floats(3, 4, 2), floats(4, 5)], {"equation": "nij,ik->nkj"}, [1])
case("one_hot", 28, "OneHot", [ints([0, 2], [1, -1]), ints(3).reshape(()), floats(2)], {"axis": 1}, [1, 2])
case("compress", 28, "Compress", [floats(3, 4), np.array([True, False, True])], {"axis": 1}, [1])
case("reduce_log_sum_exp", 28, "ReduceLogSumExp", [floats(3, 4, 2), ints(1)], {"keepdims": 0}, [1])
case("reduce_log_sum", 28, "ReduceLogSum", [np.abs(floats(3, 4, 2)) + 0.1, ints(-1)], {}, [1])
case("reverse_sequence", 28, "ReverseSequence", [floats(3, 4, 2), ints(1, 4, 2)], {"batch_axis": 0, "time_axis": 1})
case("cast", 28, "Cast", [floats(3, 4) * 5], {"to": onnx.TensorProto.INT32})

# Forms for which ONNX Runtime has no kernel.

case("grid_sample_line", 22, "GridSample", [floats(2, 3, 5), floats(2, 4, 1)], {"mode": "cubic", "padding_mode": "reflection"})
case("grid_sample_cube", 22, "GridSample", [floats(2, 1, 2, 3, 2), floats(2, 1, 2, 2, 3)], {"mode": "cubic"})
case("dft_inverse_cut", 20, "DFT", [floats(3, 8, 2), ints(5).reshape(()), ints(1).reshape(())], {"inverse": 1, "onesided": 1}, [1, 2])
