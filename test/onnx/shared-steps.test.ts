/** Scans that read parameters step by step: rows of a table of positions, a matrix or a gain of its own for each step. */
import { describe, expect, it } from "vitest";
import { check, losses } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import {
  encoded,
  type FileInit,
  file,
  graph,
  initializer,
  int,
  int64s,
  ints,
  node,
  run,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;
const [steps, width] = [4, 3];

interface Case {
  /** What is scanned beside the data: a parameter, or the numbers of the steps. */
  readonly scanned: readonly [string, Tensor, elementType?: number];
  /** Its dims in a step. */
  readonly dims: readonly number[];
  /** From the state "s", the sample's "v" and the slice "w": the next state "n". */
  readonly nodes: Nodes;
  /** A parameter that the body captures. */
  readonly table?: Tensor;
  readonly reversed?: boolean;
}

const gain: Case = {
  scanned: ["W", waves([steps, width])],
  dims: [width],
  nodes: [node("Mul", ["v", "w"], ["a"]), node("Add", ["s", "a"], ["b"]), node("Tanh", ["b"], ["n"])],
};
const row: Nodes = [node("Gather", ["P", "w"], ["p"], [int("axis", 0)])];
const numbers: Case["scanned"] = ["times", int64s(0, 1, 2, 3), 7];
const table = waves([steps, width]);

const cases: Record<string, Case> = {
  "a gain for each step": gain,
  "from the end": { ...gain, reversed: true },
  "a shift for each step, of one element": {
    scanned: ["W", waves([steps, 1])],
    dims: [1],
    nodes: [node("Add", ["v", "w"], ["a"]), node("Add", ["s", "a"], ["b"]), node("Tanh", ["b"], ["n"])],
  },
  "a matrix for each step": {
    scanned: ["W", waves([steps, width, width])],
    dims: [width, width],
    nodes: [node("MatMul", ["s", "w"], ["a"]), node("Add", ["a", "v"], ["b"]), node("Tanh", ["b"], ["n"])],
  },
  "a gain computed of a parameter in the step": {
    ...gain,
    nodes: [node("Exp", ["w"], ["e"]), node("Mul", ["v", "e"], ["a"]), node("Add", ["s", "a"], ["n"])],
  },
  "a row of a table of positions": {
    scanned: numbers,
    dims: [],
    table,
    nodes: [...row, node("Add", ["v", "p"], ["a"]), node("Mul", ["a", "s"], ["b"]), node("Sin", ["b"], ["n"])],
  },
  "a row of a table, scaled by what the sample has": {
    scanned: numbers,
    dims: [],
    table,
    nodes: [...row, node("Mul", ["v", "p"], ["a"]), node("Add", ["a", "s"], ["n"])],
  },
  "a row of a table that all steps also read as a whole": {
    scanned: numbers,
    dims: [],
    table,
    nodes: [
      ...row,
      node("Mul", ["v", "p"], ["a"]),
      node("MatMul", ["a", "PT"], ["q"]),
      node("MatMul", ["q", "P"], ["u"]),
      node("Add", ["u", "s"], ["b"]),
      node("Tanh", ["b"], ["n"]),
    ],
  },
};

/** From the state "s", the sample's "v" and a row "w" of a parameter: the next state "n" and a result "r" without samples. */
const sharedResults: Record<string, { readonly nodes: Nodes }> = {
  "computed of the row": {
    nodes: [node("Exp", ["w"], ["r"]), node("Mul", ["s", "r"], ["p"]), node("Add", ["p", "v"], ["n"])],
  },
  "the row itself": { nodes: [node("Identity", ["w"], ["r"]), node("Mul", ["s", "v"], ["n"])] },
  "the same in each step": {
    nodes: [
      node("ReduceSum", ["W", "first"], ["r"], [int("keepdims", 0)]),
      node("Mul", ["s", "w"], ["p"]),
      node("Add", ["p", "v"], ["n"]),
    ],
  },
};

function fileOf({ scanned: [name, value, type], dims, nodes, table: captured, reversed = false }: Case): Uint8Array {
  const body = graph("body", {
    name: "body",
    input: [valueInfo("s", ["N", width]), valueInfo("v", ["N", width]), valueInfo("w", dims, type)],
    node: [...nodes, node("Identity", ["n"], ["r"])],
    output: [valueInfo("n", ["N", width]), valueInfo("r", ["N", width])],
  });
  const directions = reversed ? [ints("scan_input_directions", [1, 1])] : [];
  return file({
    inputs: [valueInfo("x", [steps, "N", width]), valueInfo("h", ["N", width])],
    initializers: [initializer(name, value), ...(captured ? [initializer("P", captured)] : [])],
    nodes: [
      ...(captured ? [node("Transpose", ["P"], ["PT"], [ints("perm", [1, 0])])] : []),
      node("Scan", ["h", "x", name], ["last", "all"], [body, int("num_scan_inputs", 2), ...directions]),
      node("ReduceMax", ["all"], ["most"], [int("keepdims", 0), ints("axes", [0])]),
      node("Add", ["last", "most"], ["y"]),
    ],
    opset: 17,
  });
}

describe("what a step reads of parameters", () => {
  it.each(Object.entries(cases))("%s", async (_, each) => {
    const bytes = fileOf(each);
    const model = modelOf(bytes, "m.onnx", { sampleAxes: { x: 1, h: 0 } });
    const feeds = { x: waves([steps, 2, width]), h: waves([2, width]) };
    const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(bytes, feeds)).y] as [Tensor, Tensor];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    const trained = Object.keys(model.parameters);
    expect(trained).toEqual([each.table ? "P" : "W"]);
    const { passed, parameters, wants, skipped } = await check(
      model,
      { ...feeds, target: waves([2, width]) },
      { loss: losses.mse(), differences: 24 },
    );
    expect(passed, JSON.stringify([parameters, wants])).toBe(true);
    expect(skipped.filter(({ want }) => want !== "kroneckerFactors")).toEqual([]);
    for (const { loopError, differenceError } of parameters) {
      expect(loopError).toBeLessThan(1e-5);
      expect(differenceError).toBeLessThan(1e-5);
    }
  });
});

describe("a result of each step that depends on parameters alone", () => {
  it.each(Object.entries(sharedResults))("%s", async (_, { nodes }) => {
    const body = graph("body", {
      name: "body",
      input: [valueInfo("s", ["N", width]), valueInfo("v", ["N", width]), valueInfo("w", [width])],
      node: [...nodes],
      output: [valueInfo("n", ["N", width]), valueInfo("r", [width])],
    });
    const bytes = file({
      inputs: [valueInfo("x", [steps, "N", width]), valueInfo("h", ["N", width])],
      initializers: [initializer("W", waves([steps, width])), initializer("first", int64s(0))],
      nodes: [
        node("Scan", ["h", "x", "W"], ["last", "all"], [body, int("num_scan_inputs", 2)]),
        node("ReduceSum", ["all", "first"], ["sum"], [int("keepdims", 0)]),
        node("Mul", ["last", "sum"], ["y"]),
      ],
    });
    const model = modelOf(bytes, "m.onnx", { sampleAxes: { x: 1, h: 0 } });
    const feeds = { x: waves([steps, 2, width]), h: waves([2, width]) };
    const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(bytes, feeds)).y] as [Tensor, Tensor];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    const checked = await check(
      model,
      { ...feeds, target: waves([2, width]) },
      { loss: losses.mse(), differences: 24 },
    );
    expect(checked.passed, JSON.stringify(checked)).toBe(true);
    expect(checked.skipped.filter(({ want }) => want !== "kroneckerFactors")).toEqual([]);
  });
});
