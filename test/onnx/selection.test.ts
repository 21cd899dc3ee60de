/** Steps of a loop over the samples that pick positions by their own data: what the runtime gives step by step. */
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses, perSample, want } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { nth } from "../../src/present.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../support/per-sample.js";
import { relativeError } from "./compare.js";
import {
  constant,
  encoded,
  type FileInit,
  file,
  graph,
  initializer,
  int,
  int64s,
  node,
  refusal,
  run,
  scalar,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;

function branch(name: string, nodes: Nodes, out: string) {
  return graph(name, { name, node: nodes as never, output: [{ name: out }] });
}

/** For each sample the rows of x, `[N, 4, 3]`, at which ids, `[N, 4]`, is above 0, put together by `inner`. */
function picking(inner: Nodes, { keepIf = true, empty = true } = {}): Uint8Array {
  const longer = branch("then_branch", [node("Concat", ["list_in", "at"], ["a"], [int("axis", 0)])], "a");
  const same = branch("else_branch", [node("Identity", ["list_in"], ["b"])], "b");
  const dropped = branch("then_branch", [node("Identity", ["list_in"], ["b"])], "b");
  const added = branch("else_branch", [node("Concat", ["list_in", "at"], ["a"], [int("axis", 0)])], "a");
  const search = graph("body", {
    name: "search",
    input: [valueInfo("t", [], 7), valueInfo("on", [], 9), { name: "list_in" }],
    node: [
      node("Gather", ["own_ids", "t"], ["id"]),
      node(keepIf ? "Less" : "LessOrEqual", keepIf ? ["zero", "id"] : ["id", "zero"], ["wanted"]),
      node("Unsqueeze", ["t", "axis0"], ["at"]),
      node("If", ["wanted"], ["list_next"], keepIf ? [longer, same] : [dropped, added]),
      node("Identity", ["on"], ["goes_on"]),
    ],
    output: [valueInfo("goes_on", [], 9), { name: "list_next" }],
  });
  const body = graph("body", {
    name: "body",
    input: [valueInfo("i", [], 7), valueInfo("go", [], 9)],
    node: [
      node("Gather", ["ids", "i"], ["own_ids"]),
      node("Gather", ["x", "i"], ["own"]),
      node("Loop", ["four", "yes", "none"], ["list"], [search]),
      ...inner,
      ...(empty
        ? [
            node("Size", ["list"], ["count"]),
            node("Equal", ["count", "zero"], ["nothing"]),
            node(
              "If",
              ["nothing"],
              ["r"],
              [
                branch("then_branch", [node("Identity", ["zeros"], ["c"])], "c"),
                branch("else_branch", [node("Identity", ["found"], ["d"])], "d"),
              ],
            ),
          ]
        : []),
      node("Identity", ["yes"], ["further"]),
    ] as never,
    output: [valueInfo("further", [], 9), { name: "r" }],
  });
  return file({
    inputs: [valueInfo("x", ["N", 4, 3]), valueInfo("ids", ["N", 4], 7)],
    initializers: [initializer("w", waves([3, 2])), initializer("scale", waves([3]))],
    nodes: [
      constant("yes", { dtype: "bool", dims: [], data: Uint8Array.of(1) }),
      constant("zero", scalar(0)),
      constant("four", scalar(4)),
      constant("axis0", int64s(0)),
      constant("none", { dtype: "int64", dims: [0], data: new BigInt64Array(0) }),
      constant("zeros", { dtype: "float32", dims: [3], data: new Float32Array(3) }),
      node("Shape", ["x"], ["n1"], [int("end", 1)]),
      node("Squeeze", ["n1"], ["n"]),
      node("Loop", ["n", "yes"], ["all"], [body]),
      node("MatMul", ["all", "w"], ["y"]),
    ],
    opset: 18,
  });
}

/** The second sample picks nothing, the third all. */
function batchOf(samples: number): Record<string, Tensor> {
  const ids = BigInt64Array.from({ length: 4 * samples }, (_, k) => {
    const sample = Math.floor(k / 4) % 4;
    return BigInt(sample === 1 ? 0 : sample === 2 ? 1 : (k * k + k) % 3);
  });
  return { x: waves([samples, 4, 3]), ids: { dtype: "int64", dims: [samples, 4], data: ids } };
}

const rows = node("Gather", ["own", "list"], ["rows"]);
const scaled = node("Mul", ["rows", "scale"], ["scaled"]);
const over = (op: string) => node(op, ["scaled", "axis0"], ["found"], [int("keepdims", 0)]);
const options = { loss: losses.mse(), target: { dtype: "float32" as const, shape: ["N" as const, 2] } };

describe("rows picked by a sample's own data", () => {
  it.each([
    ["ReduceSum", true],
    ["ReduceMean", false],
    ["ReduceMax", true],
    ["ReduceMin", false],
    ["ReduceProd", true],
  ] as const)("%s, added in the branch where the condition holds: %s", async (op, keepIf) => {
    const bytes = picking([rows, scaled, over(op)], { keepIf });
    const model = modelOf(bytes, "m.onnx", {});
    for (const samples of [1, 5]) {
      const feeds = batchOf(samples);
      const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(bytes, feeds)).y] as [Tensor, Tensor];
      expect(found.dims).toEqual(expected.dims);
      expect(relativeError(found, expected)).toBeLessThan(1e-6);
    }
    const program = await perSample(model, { ...options, want: { gradients: want.gradients() } });
    for (const samples of [0, 5]) {
      const batch = { ...batchOf(samples), target: waves([samples, 2]) };
      const { gradients } = await program.run(batch);
      const oracle = samples > 0 ? new Oracle(objectiveOf(model, options), batch) : undefined;
      const loop = Array.from({ length: samples }, (_, n) => oracle?.sample(n).gradients);
      for (const name of ["w", "scale"]) {
        const expected = loop.flatMap((each) => [...(each?.get(name) ?? [])]);
        expectClose(nth([gradients[name]?.data ?? []], 0), expected, 1e-4, name);
      }
    }
    await program.release();
  });

  it("are refused where their number would have to be a size", () => {
    const whole = picking([rows, node("ReduceL2", ["rows", "axis0"], ["r"], [int("keepdims", 0)])], { empty: false });
    expect(refusal(() => modelOf(whole, "m.onnx", {}))).toMatch(
      /^UNSUPPORTED_OP: Input 0 of ReduceL2 node "r" has a length that differs from sample to sample/,
    );
    const list = picking([node("Identity", ["list"], ["r"])], { empty: false });
    expect(refusal(() => modelOf(list, "m.onnx", {}))).toMatch(
      /^UNSUPPORTED_OP: "r" is a tensor whose length differs from sample to sample/,
    );
  });

  it("are refused where the branches differ in shape", () => {
    const wide = branch("then_branch", [node("Identity", ["own"], ["c"])], "c");
    const narrow = branch("else_branch", [node("Identity", ["zeros"], ["d"])], "d");
    const inner = [
      node("ReduceMax", ["own_ids"], ["most"], [int("keepdims", 0)]),
      node("Less", ["zero", "most"], ["some"]),
      node("If", ["some"], ["r"], [wide, narrow]),
    ];
    const message = refusal(() => modelOf(picking(inner, { empty: false }), "m.onnx", {}));
    expect(message).toMatch(/^UNSUPPORTED_OP: Result 0 of If node "r" has another shape in one branch/);
  });
});
