/** What JavaScript makes of the runtime's outputs is what the program's file gives by itself. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Objective, objectiveOf } from "../../src/compile/objective.js";
import { inputsOf, weightsOf } from "../../src/compile/program-graph.js";
import { leaf } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { losses, type Model, nn, type Program, perSample, type Tensor, type Wants, want } from "../../src/index.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { addRows } from "../../src/ops/subgraphs/table.js";
import { usualApartSizes } from "../../src/target/onnxruntime/apart.js";
import { scheduled } from "../../src/target/onnxruntime/executable.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { Handover } from "../../src/target/onnxruntime/results.js";
import { expectClose } from "../support/per-sample.js";
import { graphOf } from "../support/program-graph.js";
import { tensorsIn } from "../support/tensors-in.js";
import "../support/seed.js";

const wants = {
  norms: want.norms(),
  clipped: want.clippedSum({ maxNorm: 0.3 }),
  mean: want.mean(),
  sum: want.sum(),
  losses: want.losses(),
};
type AnyProgram = Program<Wants>;

interface Table {
  readonly rows: number;
  readonly size: number;
  readonly positions: number;
  /** What comes after the rows are picked: their mean (what all receive alike), or each its own. */
  readonly pooled: boolean;
  /** The table is also what the rows are compared with. */
  readonly tied: boolean;
}

/** Rows of a table, and a squared loss of what is made of them. */
function model({ rows, size, positions, pooled, tied }: Table): Model {
  const parts = { table: nn.normal([rows, size], 1), head: nn.linear(size, 2) };
  return nn.trace({ x: { shape: ["N", positions], dtype: "int64" } }, parts, ({ x }, { table, head }) => {
    const picked = table.gather(x);
    const vectors = pooled ? picked.mean([1], { keepDims: true }) : picked.sin();
    const scores = tied ? vectors.matmul(table.transpose()) : head(vectors);
    return { loss: scores.square().sum([1, 2]) };
  });
}

/** Few different rows, so that many are picked several times. */
function dataOf({ rows, positions }: Table, samples: number): Record<string, Tensor> {
  const data = BigInt64Array.from({ length: samples * positions }, (_, p) => BigInt((p * p * 7 + 3 * p) % rows));
  return { x: { dtype: "int64", dims: [samples, positions], data } };
}

/** The names in the file of what has these places in results. */
const inFile = (at: string) =>
  at
    .slice(1)
    .replace("norms/parameters/", "norms/of/")
    .replace("clipped/groups/all", "clipped/norms")
    .replace(/^losses$/, "losses/losses");

const tables = fc.record({
  rows: fc.integer({ min: 2, max: 60 }),
  size: fc.integer({ min: 1, max: 90 }),
  positions: fc.integer({ min: 1, max: 6 }),
  pooled: fc.boolean(),
  tied: fc.boolean(),
});
// Programs of small results and of large ones are handed over in different ways.
const large: Table = { rows: 300, size: 20, positions: 5, pooled: true, tied: false };

it("whatever the rows and the samples", async () => {
  const check = async (table: Table, samples: number) => {
    const program: AnyProgram = await perSample(model(table), { loss: losses.output(), want: wants });
    const data = dataOf(table, samples);
    const found = tensorsIn(await program.run(data));
    const file = await nodeRuntime.load(program.encode());
    const expected = await file.run(data);
    for (const [at, { dims, data }] of found) {
      const tensor = expected[inFile(at)] as Tensor<"float32">;
      expect(dims).toEqual(tensor.dims);
      expectClose(data, tensor.data, 1e-5, at);
    }
    expect(found.length).toBeGreaterThanOrEqual(Object.keys(expected).length);
    await file.release();
    await program.release();
  };
  for (const pooled of [true, false]) for (const tied of [true, false]) await check({ ...large, pooled, tied }, 3);
  await fc.assert(fc.asyncProperty(tables, fc.integer({ min: 1, max: 4 }), check), { numRuns: 25 });
});

function scheduledFor(objective: Objective, wants: Wants, elsewhere = false) {
  const graph = graphOf(objective, wants);
  const options = { elsewhere, weights: weightsOf(objective.model) };
  return scheduled({ inputs: inputsOf(graph), outputs: graph.outputs }, options, usualApartSizes);
}

describe("of a table that is large beside the rows", () => {
  const emitted = (table: Table) => {
    const objective = objectiveOf(model(table), { loss: losses.output() });
    return {
      ...scheduledFor(objective, wants),
      outputs: graphOf(objective, wants).outputs,
    };
  };
  const operators = (values: Parameters<typeof nodesBefore>[0]) => nodesBefore(values).map(({ op }) => op);

  it.each([
    ["each position its own", { ...large, pooled: false }],
    ["all positions the same", large],
    ["tied", { ...large, tied: true }],
  ])("the runtime adds no rows for its sums: %s", (_, table) => {
    const { outputs, handover } = emitted(table);
    const sums = outputs.filter(({ name }) => /^(mean|sum|clipped\/sum)\/table/.test(name));
    expect(operators(sums.map(({ value }) => value))).toContain("AddRows");
    const norms = outputs.filter(({ name }) => name.startsWith("norms/")).map(({ value }) => value);
    const forNorms = operators(norms).filter((op) => op === "AddRows" || op === "ScatterElements").length;
    const inAll = operators(handover.outputs.map(({ value }) => value)).filter((op) => op === "ScatterElements");
    expect(inAll).toHaveLength(forNorms);
  });

  it("rows that all positions share are handed over once", () => {
    const { handover } = emitted(large);
    const shapes = handover.outputs.map(({ value }) => JSON.stringify(value.shape));
    expect(shapes).toContain(JSON.stringify([{ perSample: 1 }, 1, large.size]));
  });
});

it("no two results hold the same memory", async () => {
  for (const table of [large, { ...large, rows: 5 }]) {
    const program: AnyProgram = await perSample(model(table), { loss: losses.output(), want: wants });
    const results = tensorsIn(await program.run(dataOf(table, 4))).filter(([at]) => !at.includes("/groups/"));
    const before = results.map(([, { data }]) => data.slice());
    results.forEach(([, { data }], k) => {
      data.fill(Number.NaN);
      results.slice(k + 1).forEach(([at, other], j) => {
        expect(other.data, at).toEqual(before[k + 1 + j]);
      });
    });
    await program.release();
  }
});

describe("rows that a graph adds to a table", () => {
  /** A graph whose output adds rows w of 4 numbers to 3,000 rows of zeros, at places of the dimensions `dims`. */
  const adding = (places: readonly number[], dims: readonly number[]) => {
    const index: Tensor = { dtype: "int64", dims, data: BigInt64Array.from(places, BigInt) };
    const weight = leaf("w", { dtype: "float32", shape: [places.length, 4] }, { kind: "parameter" });
    const table = addRows(build, build.reshape(build.constant(index), [places.length]), weight, 3000);
    return { table: build.reshape(table, [12_000]), weight };
  };
  const finish = async (places: readonly number[], dims: readonly number[]) => {
    const { table, weight } = adding(places, dims);
    const output = { name: "table", value: table, joining: { kind: "shared" } } as const;
    const handover = new Handover([output], "rows");
    const data = Float32Array.from({ length: 4 * places.length }, (_, k) => k + 1);
    const feeds = { w: { dtype: "float32", dims: [places.length, 4], data } as Tensor };
    const run = async (outputs: Parameters<typeof encodeModel>[0]["outputs"]) => {
      const session = await nodeRuntime.load(encodeModel({ inputs: [weight], outputs }));
      try {
        return await session.run(feeds);
      } finally {
        await session.release();
      }
    };
    const whole = async () => (await run([output])).table?.data;
    const finished = async () => handover.finish(await run(handover.outputs), 1).results.table?.data;
    return { handed: handover.outputs.length, whole, finished };
  };

  it("a file holds them in ONNX's operators, and gives the same", async () => {
    const { handed, whole, finished } = await finish([5, 700, 5, 9], [2, 2]);
    expect(handed).toBe(2);
    expect(await finished()).toEqual(await whole());
  });

  it("places that count from the end", async () => {
    const { handed, whole, finished } = await finish([-1, 5, -3000], [3, 1]);
    expect(handed).toBe(2);
    expect(await finished()).toEqual(await whole());
  });

  it.each([3000, -3001])("a place outside, %d, is an error as it is to the runtime", async (place) => {
    const { whole, finished } = await finish([place], [1, 1]);
    await expect(whole()).rejects.toMatchObject({ code: "RUNTIME" });
    await expect(finished()).rejects.toMatchObject({ code: "RUNTIME" });
  });
});

it("an index that only the gradient reads is checked", async () => {
  const shape = { x: { shape: ["N", 2], dtype: "int64" } } as const;
  const linear = nn.trace(shape, { table: nn.normal([3000, 8], 1) }, ({ x }, { table }) => ({
    loss: table.gather(x).sum([1, 2]),
  }));
  const program = await perSample(linear, { loss: losses.output(), want: { sum: want.sum() } });
  const x: Tensor = { dtype: "int64", dims: [1, 2], data: BigInt64Array.of(3n, 3000n) };
  await expect(program.run({ x })).rejects.toMatchObject({ code: "INDEX_OUT_OF_RANGE" });
  await program.release();
});

it("inputs and parameters may have any names", async () => {
  const model = nn.trace({ "0": ["N", 3] }, { "1": nn.normal([3], 1), "2": nn.normal([3], 1) }, (inputs, parts) => {
    const { "0": x } = inputs;
    return { loss: x.mul(parts["1"]).add(parts["2"]).square().sum([1]) };
  });
  const program: AnyProgram = await perSample(model, { loss: losses.output(), want: wants });
  const x: Tensor = { dtype: "float32", dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  expect(tensorsIn(await program.run({ "0": x })).length).toBeGreaterThan(5);
  await program.release();
});

it("what runs in a worker thread leaves no rows to the thread that asks", () => {
  const objective = objectiveOf(model(large), { loss: losses.output() });
  const names = (elsewhere: boolean) =>
    scheduledFor(objective, wants, elsewhere).handover.outputs.map(({ name }) => name);
  expect(names(false).some((name) => name.endsWith("/rows"))).toBe(true);
  expect(names(true).some((name) => name.endsWith("/rows"))).toBe(false);
});

it("the copies of what several results hold are counted", () => {
  const objective = objectiveOf(nn.model(nn.linear(300, 40)), { loss: losses.crossEntropy() });
  const memory = (wanted: Wants) => scheduledFor(objective, wanted).memory.at(64);
  const results = 4 * 64 * (300 * 40 + 40);
  const gradients = () => want.gradients();
  const four = { a: gradients(), b: gradients(), c: gradients(), d: gradients() };
  expect(memory(four)).toBeGreaterThanOrEqual(4 * results);
});

it("a mean beside a sum is made of the sum", () => {
  const objective = objectiveOf(nn.model(nn.sequential(nn.linear(784, 1024), nn.relu(), nn.linear(1024, 10))), {
    loss: losses.crossEntropy(),
  });
  const products = (wanted: Wants) =>
    nodesBefore(scheduledFor(objective, wanted).order).filter(({ op }) => ["MatMul", "Gemm"].includes(op)).length;
  expect(products({ sum: want.sum(), mean: want.mean() })).toBe(products({ sum: want.sum() }));
});

it("a large product of small factors is judged by them, and itself if their squares overflow", async () => {
  const size = 512;
  const linear = nn.trace(
    { x: ["N", size], d: ["N", size] },
    { weight: nn.zeros([size, size]) },
    ({ x, d }, { weight }) => ({ loss: x.matmul(weight).mul(d).sum([1]) }),
  );
  const program = await perSample(linear, { loss: losses.output(), want: { sum: want.sum() } });
  expect(program.graph()).toContain("ReduceSumSquare");
  const filled = (value: number) => ({
    dtype: "float32" as const,
    dims: [2, size],
    data: new Float32Array(2 * size).fill(value),
  });
  const judged = async (x: number, d: number) => {
    const found: unknown[] = [];
    const { sum } = await program.run({ x: filled(x), d: filled(d) }, { onNotFinite: (each) => found.push(each) });
    return { element: sum.weight?.data[0], found: found.length };
  };
  expect(await judged(3, 5)).toEqual({ element: 30, found: 0 });
  expect(await judged(2 ** 90, 2 ** -80)).toEqual({ element: 2 ** 11, found: 0 });
  expect(await judged(2 ** 90, 2 ** 80)).toEqual({ element: Number.POSITIVE_INFINITY, found: 1 });
  await program.release();
});
