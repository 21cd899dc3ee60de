/** What a program does where not even one sample fits into its memory budget as it would usually be planned. */
import { describe, expect, it } from "vitest";
import { losses, nn, perSample, type Tensor, want } from "../../src/index.js";
import type { Strategy } from "../../src/plan/strategy.js";
import { expectClose, numbers } from "../support/per-sample.js";

/** Large images beside few parameters: the unfolded data is by far the largest tensor. */
const model = nn.model(
  nn.sequential(
    nn.conv2d(2, 8, 3, { padding: 1 }),
    nn.tanh(),
    nn.conv2d(8, 8, 3, { padding: 1 }),
    nn.tanh(),
    nn.adaptiveAvgPool(1),
    nn.flatten(),
    nn.linear(8, 3),
  ),
  { input: { x: ["N", 2, 64, 64] } },
);

const wants = {
  gradients: { gradients: want.gradients() },
  sum: { sum: want.sum() },
  clipped: { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 0.1 }) },
  strict: { clipped: want.clippedSum({ maxNorm: 0.1, strict: true }) },
} as const;

const compile = (wanted: keyof typeof wants, memoryBudget?: number, strategy: Strategy = {}) =>
  perSample<(typeof wants)[keyof typeof wants]>(model, {
    loss: losses.crossEntropy(),
    want: wants[wanted],
    strategy,
    ...(memoryBudget === undefined ? {} : { memoryBudget }),
  });

function dataOf(samples: number) {
  const x: Tensor = {
    dtype: "float32",
    dims: [samples, 2, 64, 64],
    data: Float32Array.from(numbers([samples, 2, 64, 64], 1).data),
  };
  return { x, target: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 3)) };
}

/** All numbers in results, by the path that leads to them. */
function numbersIn(value: unknown, path = ""): [string, ArrayLike<number>][] {
  if (typeof value !== "object" || value === null) return [];
  if ("dtype" in value) return [[path, (value as Tensor<"float32">).data]];
  return Object.entries(value).flatMap(([name, part]) => numbersIn(part, `${path}/${name}`));
}

describe("a budget that one sample does not fit into as programs are usually planned", () => {
  it.each(Object.keys(wants) as (keyof typeof wants)[])("is kept by blocks of positions: %s", async (wanted) => {
    const usual = await compile(wanted);
    const needed = usual.memory(1);
    const lowMemory = await compile(wanted, Math.floor(0.7 * needed));
    expect(lowMemory.memory(1)).toBeLessThanOrEqual(0.7 * needed);
    const rows = lowMemory.explain().rows.filter(({ kind }) => kind === "convolution");
    for (const { unfold } of rows.slice(1)) expect(unfold).toMatch(/, in blocks$/);
    if (wanted === "clipped" || wanted === "strict") expect(rows[1]?.norm).toBe("blocked unfold");
    const data = dataOf(3);
    const expected = new Map(numbersIn(await usual.run(data)));
    // The results of a batch are held too.
    const found = numbersIn(await lowMemory.run(data, { memoryBudget: needed }));
    expect(found.map(([path]) => path)).toEqual([...expected.keys()]);
    for (const [path, values] of found) expectClose(values, expected.get(path) ?? [], 1e-5, path, 1e-3);
    await usual.release();
    await lowMemory.release();
  });

  it("changes nothing where one sample fits", async () => {
    const usual = await compile("clipped");
    const ample = await compile("clipped", usual.memory(1));
    expect(ample.explain().rows).toEqual(usual.explain().rows);
    await usual.release();
    await ample.release();
  });

  it("leaves ways that are asked for, and comes as close as it can", async () => {
    const asked = await compile("clipped", 1000, {
      parameters: { "2.weight": { norm: "materialise", sum: "contract" } },
    });
    const row = asked.explain().rows.find(({ parameter }) => parameter === "2.weight");
    expect(row).toMatchObject({ norm: "materialise", sum: "contract" });
    await expect(asked.run(dataOf(1))).rejects.toMatchObject({ code: "MEMORY_BUDGET" });
    const free = await compile("clipped", 1000);
    const usual = await compile("clipped");
    expect(free.memory(1)).toBeLessThan(0.7 * usual.memory(1));
    for (const program of [asked, free, usual]) await program.release();
  });
});
