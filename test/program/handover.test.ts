/** What JavaScript makes of the runtime's outputs is what the program's file gives by itself. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, type Program, perSample, type Tensor, type Want, want } from "../../src/index.js";
import { emit, planFor } from "../../src/program/emitted.js";
import { objectiveOf } from "../../src/program/objective.js";
import { nodeRuntime } from "../../src/run/node.js";
import { expectClose } from "../support/per-sample.js";
import "../support/seed.js";
import { nodesBefore } from "../../src/graph/walk.js";

const wants = {
  norms: want.norms(),
  clipped: want.clippedSum({ maxNorm: 0.3 }),
  mean: want.mean(),
  sum: want.sum(),
  losses: want.losses(),
};
type AnyProgram = Program<Readonly<Record<string, Want<unknown>>>>;

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
  if (data.length > 1) data[1] = -1n;
  return { x: { dtype: "int64", dims: [samples, positions], data } };
}

/** Every tensor in a result, by its place in it. */
function tensorsIn(result: unknown, at = ""): [string, Tensor<"float32">][] {
  if (typeof result !== "object" || result === null) return [];
  if ("dtype" in result) return [[at, result as Tensor<"float32">]];
  return Object.entries(result).flatMap(([name, inner]) => tensorsIn(inner, `${at}/${name}`));
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

describe("of a table that is large beside the rows", () => {
  const emitted = (table: Table) => {
    const objective = objectiveOf(model(table), { loss: losses.output() });
    return emit(objective, planFor(objective, wants, {}), wants, new Map());
  };
  const operators = (values: Parameters<typeof nodesBefore>[0]) => nodesBefore(values).map(({ op }) => op);

  it.each([
    ["each position its own", { ...large, pooled: false }],
    ["all positions the same", large],
    ["tied", { ...large, tied: true }],
  ])("the runtime adds no rows for its sums: %s", (_, table) => {
    const { outputs, handover } = emitted(table);
    const sums = outputs.filter(({ name }) => /^(mean|sum|clipped\/sum)\/table/.test(name));
    expect(operators(sums.map(({ value }) => value))).toContain("ScatterElements");
    const norms = outputs.filter(({ name }) => name.startsWith("norms/")).map(({ value }) => value);
    const forNorms = operators(norms).filter((op) => op === "ScatterElements").length;
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
