import { inspect } from "node:util";
import { expect, test } from "vitest";
import { N } from "../../src/graph/dim.js";
import { constantValue, leaf, type Value } from "../../src/graph/value.js";
import { input, nn, parameter } from "../../src/index.js";
import { printGraph } from "../../src/inspect/print-graph.js";
import { build } from "../../src/ops/registry.js";
import { asLoops } from "../../src/optimise/loops.js";
import { simplify } from "../../src/optimise/simplify.js";

test("a traced tensor prints as one line, in text and in Node's inspector", () => {
  const x = input("x", ["N", 3]);
  const w = parameter("w", [3, 16]);
  const h = x.matmul(w).relu();
  expect([x, w, h, x.mul(2), x.transpose([1, 0])].map(String)).toMatchInlineSnapshot(`
    [
      "x: float32 [N, 3] (input)",
      "w: float32 [3, 16] (parameter)",
      "float32 [N, 16] = Relu(MatMul(...))",
      "float32 [N, 3] = Mul(x, 2)",
      "float32 [3, N] = Transpose(x, perm=[1, 0])",
    ]
  `);
  expect(inspect(h)).toBe(String(h));
  expect(inspect({ h })).toBe(`{ h: ${h} }`);
  expect(`${h.value}`).toBe(String(h));
});

test("values print what they are: elements of small constants, the type of large ones, shapes, outputs by number", () => {
  const x = leaf("x", { dtype: "float32", shape: [N, 2, 4, 4] }, { kind: "input" });
  const floats = (size: number) =>
    ({ dtype: "float32", dims: [size], data: new Float32Array(size).fill(0.1) }) as const;
  const pooled = build.node("MaxPool", [x], { kernel_shape: [2, 2] }, 2).outputs;
  const texts = [
    constantValue(floats(2)),
    constantValue(floats(9), "large"),
    constantValue(floats(9)),
    constantValue({ dtype: "bool", dims: [2], data: Uint8Array.of(0, 1) }),
    constantValue({ dtype: "int64", dims: [], data: BigInt64Array.of(7n) }),
    constantValue({ dtype: "float32", dims: [1, 2], data: Float32Array.of(-0.5, Number.NaN) }),
    constantValue({ dtype: "float16", dims: [], data: Uint16Array.of(0x3c00) }),
    build.reshape(x, [N, 32]),
    build.op("Clip", [x, null, build.scalar(6, x)]),
    build.node("Gelu", [x], {}, 1, { domain: "com.microsoft" }).outputs[0],
    ...pooled,
  ].map(String);
  expect(texts).toMatchInlineSnapshot(`
    [
      "float32 [2] = [0.1, 0.1]",
      "large: float32 [9] = constant float32 [9]",
      "float32 [9] = constant float32 [9]",
      "bool [2] = [false, true]",
      "int64 [] = 7",
      "float32 [1, 2] = [-0.5, NaN] [1, 2]",
      "float16 [] = constant float16 []",
      "float32 [N, 32] = Reshape(x, [N, 32], allowzero=1)",
      "float32 [N, 2, 4, 4] = Clip(x, none, 6)",
      "float32 [N, 2, 4, 4] = com.microsoft.Gelu(x)",
      "float32 [N, 2, 3, 3] = MaxPool(x, kernel_shape=[2, 2])[0]",
      "int64 [N, 2, 3, 3] = MaxPool(x, kernel_shape=[2, 2])[1]",
    ]
  `);
});

test("a graph prints one line for each node, with where it carries the samples", () => {
  const model = nn.model(nn.sequential(nn.linear(3, 4), nn.relu(), nn.linear(4, 2)));
  expect(printGraph(model.graph, model)).toMatchInlineSnapshot(`
    "inputs
      x: float32 [N, 3]  # samples: axis 0
    parameters
      0.weight: float32 [4, 3]
      0.bias: float32 [4]
      2.weight: float32 [2, 4]
      2.bias: float32 [2]
    nodes
      Gemm: float32 [N, 4] = Gemm(x, 0.weight, 0.bias, transB=1)  # node "0"; samples: axis 0
      Relu: float32 [N, 4] = Relu(Gemm)  # node "1"; samples: axis 0
      Gemm_1: float32 [N, 2] = Gemm(Relu, 2.weight, 2.bias, transB=1)  # node "2"; samples: axis 0
    outputs
      output = Gemm_1: float32 [N, 2]  # samples: axis 0
    "
  `);
});

test("samples folded with other axes, and what is computed where samples meet", () => {
  const x = leaf("x", { dtype: "float32", shape: [N, 2, 3] }, { kind: "input" });
  const folded = build.reshape(x, [{ perSample: 2 }, 3]);
  const met = build.mul(build.sum(x, [0], false), build.scalar(3, x));
  const graph = {
    inputs: [x],
    parameters: [],
    outputs: [
      { name: "folded", value: folded },
      { name: "met", value: met },
    ],
  };
  expect(printGraph(graph, { sampleAxes: { x: 0 } })).toMatchInlineSnapshot(`
    "inputs
      x: float32 [N, 2, 3]  # samples: axis 0
    nodes
      Reshape: float32 [N*2, 3] = Reshape(x, [N*2, 3], allowzero=1)  # samples: axis 0 as N x 2
      ReduceSum: float32 [1, 2, 3] = ReduceSum(x, [0], keepdims=1)
      Reshape_1: float32 [2, 3] = Reshape(ReduceSum, [2, 3], allowzero=1)
      Mul: float32 [2, 3] = Mul(Reshape_1, 3)
    outputs
      folded = Reshape: float32 [N*2, 3]  # samples: axis 0 as N x 2
      met = Mul: float32 [2, 3]
    "
  `);
  expect(printGraph(graph)).not.toContain("#");
});

test("bodies are indented, and all values have names of their own", () => {
  const model = nn.model(nn.rnn(3, 2), { input: { x: ["N", 5, 3] } });
  const [output] = model.graph.outputs.map(({ value }) => value);
  const loops = simplify(asLoops([output as Value]));
  const graph = { ...model.graph, outputs: [{ name: "output", value: loops[0] as Value }] };
  const text = printGraph(graph);
  expect(text).toMatchInlineSnapshot(`
    "inputs
      x: float32 [N, 5, 3]
    parameters
      input_weight_l0: float32 [2, 3]
      hidden_weight_l0: float32 [2, 2]
      input_bias_l0: float32 [2]
      hidden_bias_l0: float32 [2]
    nodes
      Reshape: float32 [1, 2, 2] = Reshape(hidden_weight_l0, [1, 2, 2], allowzero=1)
      Slice: float32 [1, 2, 2] = Slice(Reshape, [0], [1], [0], [1])
      Reshape_1: float32 [2, 2] = Reshape(Slice, [2, 2], allowzero=1)
      Transpose: float32 [2, 2] = Transpose(Reshape_1, perm=[1, 0])
      Concat: float32 [4] = Concat(input_bias_l0, hidden_bias_l0, axis=0)
      Reshape_2: float32 [1, 4] = Reshape(Concat, [1, 4], allowzero=1)
      Slice_1: float32 [1, 4] = Slice(Reshape_2, [0], [1], [0], [1])
      Reshape_3: float32 [4] = Reshape(Slice_1, [4], allowzero=1)
      Slice_2: float32 [2] = Slice(Reshape_3, [2], [4], [0], [1])
      Slice_3: float32 [2] = Slice(Reshape_3, [0], [2], [0], [1])
      Add: float32 [2] = Add(Slice_3, Slice_2)
      Reshape_4: float32 [1, 2, 3] = Reshape(input_weight_l0, [1, 2, 3], allowzero=1)
      Slice_4: float32 [1, 2, 3] = Slice(Reshape_4, [0], [1], [0], [1])
      Reshape_5: float32 [2, 3] = Reshape(Slice_4, [2, 3], allowzero=1)
      Transpose_1: float32 [3, 2] = Transpose(Reshape_5, perm=[1, 0])
      Transpose_2: float32 [5, N, 3] = Transpose(x, perm=[1, 0, 2])
      MatMul: float32 [5, N, 2] = MatMul(Transpose_2, Transpose_1)
      Add_1: float32 [5, N, 2] = Add(MatMul, Add)
      Expand: float32 [N, 2] = Expand(0, [N, 2])
      Scan: float32 [N, 2], Scan_1: float32 [5, N, 2], Scan_2: float32 [5, N, 2], Scan_3: float32 [5, N, 2] = Scan(Expand, Add_1, Transpose, body={...}, states=1, num_scan_inputs=1, products=1, scan_input_directions=[0], scan_output_directions=[0, 0, 0])
        body(step: float32 [N, 2], step_1: float32 [N, 2], step_2: float32 [2, 2])
          MatMul_1: float32 [N, 2] = MatMul(step, step_2)
          Add_2: float32 [N, 2] = Add(step_1, MatMul_1)
          Tanh: float32 [N, 2] = Tanh(Add_2)
          gives Tanh, Tanh, Add_2
      Transpose_3: float32 [N, 5, 2] = Transpose(Scan_1, perm=[1, 0, 2])
    outputs
      output = Transpose_3: float32 [N, 5, 2]
    "
  `);
  const names = [...text.matchAll(/^ +([^ ]+): /gm)].map(([, name]) => name);
  expect(new Set(names).size).toBe(names.length);
});
