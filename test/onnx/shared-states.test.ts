/**
 * Scans some of whose states are the same for all samples and take in parameters: a counter that picks rows of a table, a
 * running product of decays, a matrix that is multiplied by itself.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { objectiveOf } from "../../src/compile/objective.js";
import { check, losses } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { checkSecond } from "../curvature/second.js";
import { relativeError } from "./compare.js";
import {
  encoded,
  type FileInit,
  file,
  floats,
  graph,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  tensor,
  valueInfo,
  waves,
} from "./models.js";

type Nodes = NonNullable<FileInit["nodes"]>;
const [steps, width] = [4, 3];

interface State {
  readonly dims: readonly number[];
  readonly elementType?: number;
  readonly initial: Tensor;
}

interface Case {
  /** States without samples, by name; the next are called `next_<name>`. */
  readonly states: Readonly<Record<string, State>>;
  /** Parameters that the body captures. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** From the states, "s" and the sample's "v": the next ones, with "n" for "s". */
  readonly nodes: Nodes;
  readonly reversed?: boolean;
  /** Whether the output reads the last state and those of all steps. */
  readonly results?: boolean;
  /** Parameters that the output is multiplied by as well. */
  readonly tied?: string;
}

const counter: State = { dims: [1], elementType: 7, initial: int64s(0) };
const counting: Case = {
  states: { i: counter },
  parameters: { W: waves([steps, width]), one: int64s(1) },
  nodes: [
    node("Gather", ["W", "i"], ["row"]),
    node("Squeeze", ["row"], ["w"]),
    node("Add", ["i", "one"], ["next_i"]),
    node("Mul", ["v", "w"], ["a"]),
    node("Add", ["a", "s"], ["b"]),
    node("Tanh", ["b"], ["n"]),
  ],
};
const decaying: Case = {
  states: { d: { dims: [width], initial: waves([width]) } },
  parameters: { g: waves([width]) },
  nodes: [
    node("Mul", ["d", "g"], ["next_d"]),
    node("Mul", ["s", "d"], ["a"]),
    node("Add", ["a", "v"], ["b"]),
    node("Tanh", ["b"], ["n"]),
  ],
};
const powers: Case = {
  states: { P: { dims: [width, width], initial: waves([width, width]) } },
  parameters: { A: waves([width, width]) },
  nodes: [
    node("MatMul", ["P", "A"], ["next_P"]),
    node("MatMul", ["s", "next_P"], ["a"]),
    node("Add", ["a", "v"], ["b"]),
    node("Tanh", ["b"], ["n"]),
  ],
};

const constant: State = { dims: [width], initial: waves([width]) };
const fixedDecay: Case = {
  states: { d: constant },
  parameters: { W: waves([width, width]) },
  nodes: [
    node("Constant", [], ["g"], [tensor("value", waves([width]))]),
    node("Mul", ["d", "g"], ["next_d"]),
    node("Mul", ["s", "d"], ["a"]),
    node("MatMul", ["v", "W"], ["b"]),
    node("Add", ["a", "b"], ["c"]),
    node("Tanh", ["c"], ["n"]),
  ],
};

const cases: Record<string, Case> = {
  "a decay that is a constant": fixedDecay,
  "two that depend on each other": {
    states: { d: constant, i: counter, e: constant },
    parameters: { W: waves([steps, width]), one: int64s(1), A: waves([width, width]) },
    nodes: [
      node("Gather", ["W", "i"], ["row"]),
      node("Squeeze", ["row"], ["w"]),
      node("Add", ["i", "one"], ["next_i"]),
      node("Mul", ["d", "w"], ["dw"]),
      node("Sin", ["e"], ["sin"]),
      node("Add", ["dw", "sin"], ["next_e"]),
      node("MatMul", ["e", "A"], ["next_d"]),
      node("Mul", ["s", "d"], ["a"]),
      node("Add", ["a", "v"], ["b"]),
      node("Add", ["b", "e"], ["c"]),
      node("Tanh", ["c"], ["n"]),
    ],
  },
  "one that nothing else reads, a result": {
    ...decaying,
    results: true,
    nodes: [node("Mul", ["d", "g"], ["next_d"]), node("Add", ["s", "v"], ["b"]), node("Tanh", ["b"], ["n"])],
  },
  "one that samples choose by": {
    ...decaying,
    states: { d: { dims: [width], initial: floats([width], 0.3, -0.2, 0.5) } },
    parameters: { g: waves([width]), W: waves([width, width]) },
    nodes: [
      node("Mul", ["d", "g"], ["next_d"]),
      node("Greater", ["v", "d"], ["more"]),
      node("MatMul", ["s", "W"], ["a"]),
      node("Where", ["more", "a", "d"], ["b"]),
      node("Tanh", ["b"], ["n"]),
    ],
  },
  "a table that samples look up in": {
    states: { P: { dims: [width, width], initial: waves([width, width]) } },
    parameters: { A: waves([width, width]) },
    nodes: [
      node("MatMul", ["P", "A"], ["next_P"]),
      node("ArgMax", ["v"], ["place"], [int("axis", 1), int("keepdims", 0)]),
      node("Gather", ["P", "place"], ["row"]),
      node("Add", ["row", "v"], ["b"]),
      node("Tanh", ["b"], ["n"]),
    ],
  },
  "a kernel that samples are convolved with": {
    states: { P: { dims: [1, 1, width], initial: waves([1, 1, width]) } },
    parameters: { g: waves([width]) },
    nodes: [
      node("Mul", ["P", "g"], ["next_P"]),
      node("Constant", [], ["axis"], [ints("value_ints", [1])]),
      node("Unsqueeze", ["v", "axis"], ["image"]),
      node("Conv", ["image", "P"], ["filtered"], [ints("pads", [1, 1])]),
      node("Squeeze", ["filtered", "axis"], ["f"]),
      node("Add", ["f", "s"], ["b"]),
      node("Tanh", ["b"], ["n"]),
    ],
  },
  "a counter that picks rows": counting,
  "a counter, from the end": { ...counting, reversed: true },
  "a running product that is a result, from the end": { ...decaying, results: true, reversed: true },
  "a running product whose factor is used outside too": { ...decaying, results: true, tied: "g" },
  "powers of a matrix that are a result": { ...powers, results: true },
};

function fileOf({ states, parameters, nodes, reversed, results, tied }: Case): Uint8Array {
  const names = Object.keys(states);
  const floating = names.filter((name) => states[name]?.elementType === undefined);
  const own = Object.entries(states).map(([name, { dims, elementType }]) => valueInfo(name, dims, elementType));
  const next = Object.entries(states).map(([name, { dims, elementType }]) =>
    valueInfo(`next_${name}`, dims, elementType),
  );
  const shown = results
    ? Object.entries(states).map(([name, { dims, elementType }]) => valueInfo(`shown_${name}`, dims, elementType))
    : [];
  const body = graph("body", {
    name: "body",
    input: [...own, valueInfo("s", ["N", width]), valueInfo("v", ["N", width])],
    node: [
      ...nodes,
      node("Identity", ["n"], ["r"]),
      ...(results ? names.map((name) => node("Identity", [name], [`shown_${name}`])) : []),
    ],
    output: [...next, valueInfo("n", ["N", width]), valueInfo("r", ["N", width]), ...shown],
  });
  const directions = reversed
    ? [ints("scan_input_directions", [1]), ints("scan_output_directions", [1, ...shown.map(() => 1)])]
    : [];
  const seen = results
    ? floating.flatMap((name) => [
        node("ReduceSum", [`all_${name}`, "first"], [`sum_${name}`], [int("keepdims", 0)]),
        node("Mul", [`sum_${name}`, `last_${name}`], [`product_${name}`]),
        node("ReduceSum", [`product_${name}`], [`number_${name}`], [int("keepdims", 0)]),
      ])
    : [];
  const factors = [...(results ? floating.map((name) => `number_${name}`) : []), ...(tied ? [tied] : [])];
  return file({
    inputs: [valueInfo("x", [steps, "N", width]), valueInfo("h", ["N", width])],
    initializers: [
      ...Object.entries(parameters).map(([name, value]) => initializer(name, value)),
      ...Object.entries(states).map(([name, { initial }]) => initializer(`first_${name}`, initial)),
      initializer("first", int64s(0)),
    ],
    nodes: [
      node(
        "Scan",
        [...names.map((name) => `first_${name}`), "h", "x"],
        [...names.map((name) => `last_${name}`), "last", "all", ...shown.map((_, k) => `all_${names[k]}`)],
        [body, int("num_scan_inputs", 1), ...directions],
      ),
      ...seen,
      node("ReduceMax", ["all"], ["most"], [int("keepdims", 0), ints("axes", [0])]),
      node("Add", ["last", "most"], ["y0"]),
      ...factors.map((name, k) => node("Mul", [`y${k}`, name], [`y${k + 1}`])),
      node("Identity", [`y${factors.length}`], ["y"]),
    ],
    opset: 17,
  });
}

/** How a random body goes on: an operator, and the places of its operands among the values that are there. */
interface Drawn {
  readonly op: string;
  readonly places: readonly [number, number];
}

const drawn = (ops: readonly string[], most: number) =>
  fc.array(fc.record({ op: fc.constantFrom(...ops), places: fc.tuple(fc.nat(20), fc.nat(20)) }), {
    minLength: 1,
    maxLength: most,
  });

/** Makes a value of each of `drawn` from those in `pool`, which it joins; the names of matrices are in `matrices`. */
function grown(
  all: readonly Drawn[],
  prefix: string,
  pool: string[],
  own: string[],
  matrices: readonly string[],
): Nodes {
  return all.map(({ op, places: [first, second] }, k) => {
    const pick = (from: readonly string[], place: number) => from[place % from.length] as string;
    const inputs = [pick(own, first)];
    if (op === "MatMul") inputs.push(pick(matrices, second));
    else if (["Add", "Mul", "Sub", "Max"].includes(op)) inputs.push(pick(pool, second));
    pool.push(`${prefix}${k}`);
    own.push(`${prefix}${k}`);
    return node(op, inputs, [`${prefix}${k}`]);
  });
}

const randomCases = fc
  .record({
    shared: drawn(["Add", "Mul", "Sub", "Sin", "Sigmoid", "MatMul"], 5),
    sampled: drawn(["Add", "Mul", "Sub", "Max", "Sin", "Sigmoid", "MatMul"], 5),
    matrix: fc.boolean(),
    counted: fc.boolean(),
    reversed: fc.boolean(),
    results: fc.boolean(),
    tied: fc.boolean(),
  })
  .map(({ shared, sampled, matrix, counted, reversed, results, tied }): Case => {
    const vectors = ["d", "e", "g", ...(counted ? ["w"] : [])];
    const matrices = ["A", ...(matrix ? ["P"] : [])];
    const ofShared = grown(shared, "c", vectors, ["d", "e"], matrices);
    const own = ["v", "s"];
    const pool = [...vectors, ...own];
    const ofSampled = grown(sampled, "b", pool, own, matrices);
    const last = (prefix: string, { length }: readonly Drawn[]) => `${prefix}${length - 1}`;
    return {
      states: {
        d: { dims: [width], initial: floats([width], 0.4, -0.3, 0.8) },
        e: { dims: [width], initial: floats([width], -0.6, 0.9, 0.1) },
        ...(matrix ? { P: { dims: [width, width], initial: waves([width, width]) } } : {}),
        ...(counted ? { i: counter } : {}),
      },
      parameters: {
        g: floats([width], 0.7, -0.9, 0.5),
        A: waves([width, width]),
        ...(counted ? { W: waves([steps, width]), one: int64s(1) } : {}),
      },
      nodes: [
        ...(counted
          ? [
              node("Gather", ["W", "i"], ["row"]),
              node("Squeeze", ["row"], ["w"]),
              node("Add", ["i", "one"], ["next_i"]),
            ]
          : []),
        ...ofShared,
        node("Tanh", [last("c", shared)], ["next_d"]),
        node("Mul", ["d", "g"], ["next_e"]),
        ...(matrix ? [node("MatMul", ["P", "A"], ["next_P0"]), node("Sin", ["next_P0"], ["next_P"])] : []),
        ...ofSampled,
        // Whatever was drawn, all parameters count.
        node("MatMul", ["s", matrix ? "P" : "A"], ["product"]),
        node("Sum", [last("b", sampled), "product", "d", "e", ...(counted ? ["w"] : [])], ["b"]),
        node("Tanh", ["b"], ["n"]),
      ],
      reversed,
      results,
      ...(tied ? { tied: "g" } : {}),
    };
  });

it("random bodies have the gradients of the loop and of differences, and second derivatives that are differences of these", async () => {
  const data = { x: waves([steps, 2, width]), h: waves([2, width]), target: waves([2, width]) };
  await fc.assert(
    fc.asyncProperty(randomCases, async (each) => {
      const model = modelOf(fileOf(each), "m.onnx", { sampleAxes: { x: 1, h: 0 } });
      const options = { loss: losses.mse() };
      const found = await check(model, data, { ...options, differences: 16, secondDerivatives: false });
      expect(found.passed, JSON.stringify(found)).toBe(true);
      await checkSecond(model, options, data, 2);
    }),
    { numRuns: 2 },
  );
});

describe("states that all samples share", () => {
  it.each(Object.entries(cases))("%s", async (_, each) => {
    const bytes = fileOf(each);
    const model = modelOf(bytes, "m.onnx", { sampleAxes: { x: 1, h: 0 } });
    const feeds = { x: waves([steps, 2, width]), h: waves([2, width]) };
    const [found, expected] = [(await run(encoded(model), feeds)).y, (await run(bytes, feeds)).y] as [Tensor, Tensor];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
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

/** A state that all samples share, in a loop in the body of a loop that has one too, and hands it in. */
function nested(samples: number | string): Uint8Array {
  const inner = graph("body", {
    name: "inner",
    input: [valueInfo("e", [width]), valueInfo("q", [samples, width]), valueInfo("u", [width])],
    node: [
      node("Mul", ["e", "d"], ["a"]),
      node("Sin", ["a"], ["next_e"]),
      node("Mul", ["q", "e"], ["b"]),
      node("Add", ["b", "u"], ["c"]),
      node("Tanh", ["c"], ["next_q"]),
      node("Identity", ["next_e"], ["r"]),
    ],
    output: [valueInfo("next_e", [width]), valueInfo("next_q", [samples, width]), valueInfo("r", [width])],
  });
  const outer = graph("body", {
    name: "outer",
    input: [valueInfo("d", [width]), valueInfo("s", [samples, width]), valueInfo("v", [samples, width])],
    node: [
      node("Mul", ["d", "g"], ["next_d"]),
      node("Add", ["s", "v"], ["q0"]),
      node("Scan", ["g", "q0", "U"], ["last_e", "last_q", "all_r"], [inner, int("num_scan_inputs", 1)]),
      node("ReduceSum", ["all_r", "first"], ["sum"], [int("keepdims", 0)]),
      node("Mul", ["last_q", "sum"], ["m"]),
      node("Tanh", ["m"], ["n"]),
    ],
    output: [valueInfo("next_d", [width]), valueInfo("n", [samples, width])],
  });
  return file({
    inputs: [valueInfo("x", [steps, samples, width]), valueInfo("h", [samples, width])],
    initializers: [
      initializer("U", waves([2, width])),
      initializer("g", floats([width], 0.7, 0.6, -0.4)),
      initializer("d0", floats([width], 0.9, -0.8, 0.4)),
      initializer("first", int64s(0)),
    ],
    nodes: [node("Scan", ["d0", "h", "x"], ["last_d", "y"], [outer, int("num_scan_inputs", 1)])],
    opset: 17,
  });
}

it.each(["N", 2])("in loops within loops, of %s samples", async (samples) => {
  const model = modelOf(nested(samples), "m.onnx", { sampleAxes: { x: 1, h: 0 } });
  const data = { x: waves([steps, 2, width]), h: waves([2, width]), target: waves([2, width]) };
  const options = { loss: losses.mse(), differences: 24, secondDerivatives: false };
  const { passed, parameters, wants } = await check(model, data, options);
  expect(parameters.map(({ parameter }) => parameter).sort()).toEqual(["U", "d0", "g"]);
  expect(passed, JSON.stringify([parameters, wants])).toBe(true);
});

it("a state that takes in all samples is refused, with the node that does", () => {
  const body = graph("body", {
    name: "body",
    input: [valueInfo("d", [width]), valueInfo("v", ["N", width])],
    node: [
      { ...node("ReduceMean", ["v"], ["m"], [ints("axes", [0]), int("keepdims", 0)]), name: "over_samples" },
      node("Mul", ["d", "g"], ["dg"]),
      node("Add", ["dg", "m"], ["next_d"]),
      node("Mul", ["v", "d"], ["r"]),
    ],
    output: [valueInfo("next_d", [width]), valueInfo("r", ["N", width])],
  });
  const bytes = file({
    inputs: [valueInfo("x", [steps, "N", width])],
    initializers: [
      initializer("g", waves([width])),
      initializer("d0", waves([width])),
      initializer("first", int64s(0)),
    ],
    nodes: [
      node("Scan", ["d0", "x"], ["last", "all"], [body, int("num_scan_inputs", 1)]),
      node("ReduceSum", ["all", "first"], ["y"], [int("keepdims", 0)]),
    ],
    opset: 17,
  });
  const message = refusal(() =>
    objectiveOf(modelOf(bytes, "m.onnx", { sampleAxes: { x: 1 } }), { loss: losses.mse() }),
  );
  expect(message).toMatch(/^SAMPLES_INTERACT: ReduceMean node "over_samples" reduces over the sample axis/);
});
