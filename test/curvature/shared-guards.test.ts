/**
 * Gauss-Newton products where what is computed of parameters alone has guards against derivatives that are not finite: a
 * constant mask over scores that are learned, a sum that the body of a loop reads.
 */
import { expect, it } from "vitest";
import { check, constant, losses, type Model, nn } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Traced } from "../../src/trace/traced.js";
import { file, floats, graph, initializer, int, int64s, node, valueInfo, waves } from "../onnx/models.js";

const [steps, width] = [2, 3];
const none = Number.NEGATIVE_INFINITY;

/** h' = tanh(h + f(P) + x) over two steps, where `nodes` compute "p" of the parameter P. */
function loop(dims: readonly number[], nodes: NonNullable<Parameters<typeof file>[0]["nodes"]>): Model {
  const body = graph("body", {
    name: "body",
    input: [valueInfo("s", ["N", width]), valueInfo("v", ["N", width])],
    node: [...nodes, node("Sum", ["s", "v", "p"], ["b"]), node("Tanh", ["b"], ["n"]), node("Mul", ["n", "v"], ["r"])],
    output: [valueInfo("n", ["N", width]), valueInfo("r", ["N", width])],
  });
  const bytes = file({
    inputs: [valueInfo("x", [steps, "N", width]), valueInfo("h", ["N", width])],
    initializers: [initializer("P", waves(dims)), initializer("first", int64s(0))],
    nodes: [
      node("Scan", ["h", "x"], ["last", "all"], [body, int("num_scan_inputs", 1)]),
      node("ReduceSum", ["all", "first"], ["sum"], [int("keepdims", 0)]),
      node("Add", ["sum", "last"], ["y"]),
    ],
    opset: 18,
  });
  return modelOf(bytes, "m.onnx", { sampleAxes: { x: 1, h: 0 } });
}

const looped = { x: waves([steps, 2, width]), h: waves([2, width]), target: waves([2, width]) };
const plain = { x: waves([2, width]), target: waves([2, width]) };
const traced = (of: (x: Traced, P: Traced) => Traced) =>
  nn.trace(
    { x: ["N", width] },
    { P: nn.startingAt(floats([3, 3], 0.5, -0.4, 0.8, 1.2, 0.3, -0.9, 0.6, -1.1, 0.2)) },
    ({ x }, { P }) => of(x, P),
  );

it.each([
  [
    "a sum over the first axis that a loop reads",
    loop([4, width], [node("ReduceSum", ["P", "first"], ["p"], [int("keepdims", 0)])]),
    looped,
  ],
  ["a sum of all that a loop reads", loop([4, width], [node("ReduceSum", ["P"], ["p"], [int("keepdims", 0)])]), looped],
  [
    "a log-sum-exp that a loop reads",
    loop([4, width], [node("ReduceLogSumExp", ["P", "first"], ["p"], [int("keepdims", 0)])]),
    looped,
  ],
  [
    "a constant causal mask over learned scores",
    traced((x, P) => {
      const mask = constant([
        [0, none, none],
        [0, 0, none],
        [0, 0, 0],
      ]);
      return x.matmul(P.add(mask).softmax(1)).tanh();
    }),
    plain,
  ],
  ["the logarithm of what a bound lets through", traced((x, P) => x.matmul(P.maximum(0.1).log()).tanh()), plain],
] as const)("%s", async (_, model, data) => {
  const { passed, skipped, wants } = await check(model, data, { loss: losses.mse(), differences: 8 });
  expect(skipped.filter(({ want }) => want !== "kroneckerFactors")).toEqual([]);
  expect(wants.map(({ want }) => want)).toContain("ggnProduct");
  expect(passed, JSON.stringify(wants)).toBe(true);
});
