import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ErrorCode,
  input,
  losses,
  type Model,
  nn,
  type Program,
  perSample,
  type Tensor,
  type Traced,
  type Wants,
  want,
} from "../../src/index.js";
import { Microbatches } from "../../src/program/microbatches.js";
import { memoryOf } from "../../src/target/onnxruntime/memory.js";
import { expectClose, numbers } from "../support/per-sample.js";

const code = (expected: ErrorCode) => expect.objectContaining({ code: expected });

const floats = (dims: readonly number[], seed: number): Tensor<"float32"> => {
  return { dtype: "float32", dims, data: Float32Array.from(numbers(dims, seed).data) };
};

/**
 * One model with all that a split has to get right: samples along axis 1 of an input, an input that all samples
 * share, seeds of dropout, and outputs in which the samples are folded with positions, before and behind them.
 */
function model(): Model {
  const parts = { table: nn.xavierUniform([3, 4]), bias: nn.ones([4]), drop: nn.dropout(0.3) };
  const shapes = { x: [5, "N", 3], y: ["N", 4], shared: [4] } as const;
  return nn.trace(shapes, parts, ({ x, y, shared }, { table, bias, drop }) => {
    const rows = drop(x.matmul(table).add(bias).mul(shared));
    const folded = rows.reshape(["N*5", 4]);
    const behind = rows.transpose([1, 0, 2]);
    const loss = behind.mean([1]).sub(y).square().sum([1]);
    return { loss, rows, behind, folded, constant: bias.mul(shared) };
  });
}

function dataOf(samples: number): Record<string, Tensor> {
  const seed = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n * 7919 + 3));
  return {
    x: floats([5, samples, 3], 1),
    y: floats([samples, 4], 2),
    shared: floats([4], 3),
    seed: { dtype: "int64", dims: [samples], data: seed },
  };
}

const wants = {
  gradients: want.gradients(),
  norms: want.norms(),
  clipped: want.clippedSum({ maxNorm: 0.5 }),
  mean: want.mean(),
  moments: want.moments(),
  losses: want.losses(),
  outputs: want.outputs(),
};
type AnyProgram = Program<Wants>;
const compile = (options: { memoryBudget?: number; microbatchSize?: number } = {}) =>
  perSample<Wants>(model(), {
    loss: losses.output(),
    output: "loss",
    want: wants,
    ...options,
  });

/** All tensors of results, by the path that leads to them. */
function tensorsIn(results: unknown, path = ""): Map<string, Tensor> {
  if (typeof results !== "object" || results === null) return new Map();
  if ("dtype" in results) return new Map([[path, results as Tensor]]);
  return new Map(Object.entries(results).flatMap(([key, each]) => [...tensorsIn(each, `${path}/${key}`)]));
}

function expectSame(actual: unknown, wanted: unknown, tolerance = 1e-6): void {
  const [found, expected] = [tensorsIn(actual), tensorsIn(wanted)];
  expect([...found.keys()]).toEqual([...expected.keys()]);
  for (const [path, { dims, data }] of expected) {
    expect(found.get(path)?.dims, path).toEqual(dims);
    if ((data as Float32Array).every(Number.isNaN)) {
      expect(found.get(path)?.data, path).toEqual(data);
    } else expectClose(found.get(path)?.data as Float32Array, data as Float32Array, tolerance, path, 1e-3);
  }
}

describe("microbatches", () => {
  it("give the results of one batch, however it is split: last parts that are smaller, one sample, none", async () => {
    const program = await compile();
    const split = fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 10 }));
    await fc.assert(
      fc.asyncProperty(split, async ([samples, microbatch]) => {
        const data = dataOf(samples);
        expectSame(await program.run(data, { microbatchSize: microbatch }), await program.run(data));
      }),
      { numRuns: 30, examples: [[[0, 1]], [[1, 1]], [[7, 3]], [[5, 1]]] },
    );
    await program.release();
  });

  it("are chosen to fit a budget, down to one sample at a time", async () => {
    const program: AnyProgram = await compile();
    const data = dataOf(8);
    const whole = await program.run(data);
    for (let budget = program.memory(8); budget > program.memory(1) + 8192; budget -= 997) {
      expectSame(await program.run(data, { memoryBudget: budget }), whole);
    }
    const limited = await compile({ memoryBudget: program.memory(4) + 8192, microbatchSize: 2 });
    expectSame(await limited.run(data), whole);
  });

  it("take 257 samples at once where sums in float64 beside them would not fit the budget", async () => {
    const network = nn.sequential(nn.linear(20, 350), nn.tanh(), nn.linear(350, 350), nn.tanh(), nn.linear(350, 2));
    const options = { loss: losses.crossEntropy(), want: { norms: want.norms(), sum: want.sum() } };
    const free = await perSample(network, { ...options, seed: 1 });
    const data = { x: floats([257, 20], 1), target: Array.from({ length: 257 }, (_, n) => n % 2) };
    // Results take more than half of it: in float64 and rounded beside one sample's they would take more than the budget.
    const budget = free.memory(257) + 4096;
    expect(budget).toBeLessThan(free.memory(1) + 3 * 4 * (20 * 350 + 350 * 350));
    const tight = await perSample(network, { ...options, seed: 1, memoryBudget: budget });
    expectSame(await tight.run(data), await free.run(data), 3e-6);
    await expect(tight.run(data, { memoryBudget: 1000 })).rejects.toEqual(code("MEMORY_BUDGET"));
  });

  it("are refused where not even one sample fits, with the numbers, and where options make no sense", async () => {
    const program = await compile();
    await expect(program.run(dataOf(3), { memoryBudget: 100 })).rejects.toEqual(code("MEMORY_BUDGET"));
    await expect(program.run(dataOf(3), { memoryBudget: 100 })).rejects.toThrow(
      /budget of 100 bytes .* takes \d+ bytes and the results of 3 samples \d+ bytes\.$/,
    );
    await expect(program.run(dataOf(1), { memoryBudget: 100 })).rejects.toEqual(code("MEMORY_BUDGET"));
    await expect(program.run(dataOf(3), { memoryBudget: -1 })).rejects.toEqual(code("INVALID_ARGUMENT"));
    await expect(program.run(dataOf(3), { microbatchSize: 1.5 })).rejects.toEqual(code("INVALID_ARGUMENT"));
    await expect(compile({ microbatchSize: 0 })).rejects.toEqual(code("INVALID_ARGUMENT"));
  });

  it("are refused for what takes all samples at once, which runs where it fits", async () => {
    const network = nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2));
    const program = await perSample(network, { loss: losses.crossEntropy(), want: { gram: want.gram() } });
    const data = { x: floats([4, 3], 1), target: [0, 1, 1, 0] };
    await expect(program.run(data, { microbatchSize: 2 })).rejects.toEqual(code("INVALID_ARGUMENT"));
    await expect(program.run(data, { microbatchSize: 2 })).rejects.toThrow(/"gram\/gram" takes all samples at once/);
    expect((await program.run(data, { microbatchSize: 4 })).gram.dims).toEqual([4, 4]);
  });

  it("are refused where random numbers are drawn once for all samples, not where each sample has its own", async () => {
    const drawing = (shape: "shared" | "own") =>
      nn.trace({ x: ["N", 3] }, { w: nn.ones([3]) }, ({ x }, { w }) => {
        const drawn = shape === "own" ? x.onnx("RandomUniformLike") : w.onnx("RandomUniformLike");
        return x.mul(w).mul(drawn).sum([1]);
      });
    const compiled = (shape: "shared" | "own") =>
      perSample(drawing(shape), { loss: losses.output(), want: { losses: want.losses() } });
    const data = { x: floats([4, 3], 1) };
    const shared = await compiled("shared");
    await expect(shared.run(data, { microbatchSize: 2 })).rejects.toThrow(/draws random numbers once for all samples/);
    expect((await (await compiled("own")).run(data, { microbatchSize: 2 })).losses.dims).toEqual([4]);
  });

  it("add sums up in float64: a large sum does not swallow small parts", async () => {
    const parts = { w: nn.ones([1]) };
    const product = nn.trace({ x: ["N", 1] }, parts, ({ x }, { w }) => x.mul(w).sum([1]));
    const program = await perSample(product, { loss: losses.output(), want: { sum: want.sum() } });
    const x = Float32Array.from({ length: 1001 }, (_, n) => (n === 0 ? 2 ** 24 : 1));
    const { sum } = await program.run({ x }, { microbatchSize: 1 });
    expect([...(sum.w?.data ?? [])]).toEqual([2 ** 24 + 1000]);
  });
});

describe("the memory of a run", () => {
  it("grows with the batch, and counts results twice: the runtime's and JavaScript's", async () => {
    const network = nn.sequential(nn.linear(30, 40), nn.tanh(), nn.linear(40, 2));
    const program = await perSample(network, { loss: losses.crossEntropy(), want: { gradients: want.gradients() } });
    const gradients = 4 * (30 * 40 + 40 + 40 * 2 + 2);
    for (const samples of [1, 10, 1000]) {
      expect(program.memory(samples)).toBeGreaterThanOrEqual(2 * samples * gradients);
      expect(program.memory(samples)).toBeLessThan(2.2 * samples * gradients + 4096);
    }
  });

  it("frees what is read no more, and lets those operators write in place of which the runtime's kernels do", () => {
    const x = input("x", ["N", 100]);
    const chain = (step: (value: Traced) => Traced) => {
      let value: Traced = x;
      for (let k = 0; k < 50; k++) value = step(value);
      return memoryOf([value.sum([1]).value]).at(10);
    };
    const [tensor, sums] = [4000, 40];
    for (const inPlace of [(value: Traced) => value.tanh(), (value: Traced) => value.softmax(1)])
      expect(chain(inPlace)).toBe(tensor + sums);
    for (const apart of [(value: Traced) => value.exp(), (value: Traced) => value.add(1)])
      expect(chain(apart)).toBe(2 * tensor);
  });
});

/** A result for each sample. */
const each = {
  name: "norms/total",
  want: "norms",
  value: input("x", ["N"]).value,
  joining: { kind: "samples", at: { axis: 0, outer: 1, inner: 1 } },
} as const;
/** A result of so many elements that is added up. */
const sumOf = (size: number) =>
  ({ name: "sum/total", want: "sum", value: input("y", [size]).value, joining: { kind: "sum" } }) as const;

describe("a batch that holds far more than weights and sums", () => {
  const total = sumOf(1000);
  const whole = {
    name: "median/total",
    want: "median",
    value: input("z", []).value,
    joining: { kind: "whole" },
  } as const;
  const sizeFor = (
    samples: number,
    weights: number,
    outputs: readonly (typeof each | ReturnType<typeof sumOf> | typeof whole)[],
  ) => {
    const memory = { at: (count: number) => 1e5 * count };
    return new Microbatches({ outputs, memory }, new Map(), {}, weights).sizeFor(samples, {});
  };

  it("is computed in parts that fit into the cache, evenly", () => {
    expect(sizeFor(250, 1e5, [each, total])).toBe(63);
    expect(sizeFor(250, 1e5, [each])).toBe(63);
  });

  it("is computed two samples at a time at least where few at a time are faster, eight where parts are added up", () => {
    const sizeOf = (outputs: readonly (typeof each | ReturnType<typeof sumOf>)[], bytesOfSample: number) => {
      const memory = { at: (count: number) => bytesOfSample * count };
      const limits = { fewAtATime: true };
      return new Microbatches({ outputs, memory }, new Map(), {}, 0, false, limits).sizeFor(48, {});
    };
    expect(sizeOf([each], 3e6)).toBe(2);
    expect(sizeOf([each], 3e7)).toBe(2);
    expect(sizeOf([each, total], 3e7)).toBe(8);
    expect(sizeOf([each], 5e5)).toBe(16);
  });

  it("is not where it is small, where weights or sums are large, or where it cannot be split", () => {
    expect(sizeFor(160, 1e5, [each, total])).toBe(160);
    expect(sizeFor(250, 4e5, [each])).toBe(250);
    const large = sumOf(100_000);
    expect(sizeFor(250, 1e5, [each, large])).toBe(250);
    expect(sizeFor(250, 1e5, [each, whole])).toBe(250);
  });

  it("gives what it gives at once", async () => {
    const module = nn.sequential(
      nn.conv2d(1, 8, 3),
      nn.relu(),
      nn.conv2d(8, 2, 3),
      nn.relu(),
      nn.flatten(),
      nn.linear(32, 3),
    );
    const cnn = nn.model(module, { input: { x: ["N", 1, 8, 8] }, seed: 1 });
    const program = await perSample(cnn, { loss: "cross_entropy", want: { norms: want.norms(), mean: want.mean() } });
    const data = { x: floats([1500, 1, 8, 8], 3), target: Array.from({ length: 1500 }, (_, k) => k % 3) };
    const [few, all] = [await program.run(data), await program.run(data, { microbatchSize: 256 })];
    expect(program.memory(1500)).toBeLessThan(2 ** 23);
    expectClose(few.norms.total.data, all.norms.total.data, 1e-5, "norms");
    for (const [name, { data: mean }] of Object.entries(all.mean))
      expectClose(few.mean[name]?.data ?? [], mean, 1e-5, name);
    await program.release();
  });
});

describe("a model with large weights", () => {
  const weights = 4e8;
  const total = sumOf(2);
  const memory = { at: (samples: number) => 3e7 * samples };
  const sizeFor = (
    samples: number,
    own: object = {},
    outputs: readonly (typeof each | ReturnType<typeof sumOf>)[] = [each],
  ) =>
    new Microbatches({ outputs, memory }, new Map(), {}, "weights" in own ? Number(own.weights) : weights).sizeFor(
      samples,
      "weights" in own ? {} : own,
    );

  it("computes as many samples at a time as take a quarter of them, evenly", () => {
    expect([0, 1, 3, 4, 6, 7, 10].map((samples) => sizeFor(samples))).toEqual([0, 1, 3, 2, 3, 3, 3]);
  });

  it("computes one sample at a time where none fits", () => {
    expect(sizeFor(5, { weights: 2 ** 28 + 1 })).toBe(Math.floor(2 ** 26 / 3e7));
    const large = { at: (samples: number) => 3e8 * samples };
    expect(new Microbatches({ outputs: [each], memory: large }, new Map(), {}, weights).sizeFor(5, {})).toBe(1);
  });

  it("computes all at once where the user says how many, where sums would be held twice, and where weights are small", () => {
    expect(sizeFor(7, { microbatchSize: 7 })).toBe(7);
    expect(sizeFor(7, { memoryBudget: 1e9 })).toBe(7);
    expect(sizeFor(7, {}, [each, total])).toBe(7);
    expect(sizeFor(7, { weights: 2 ** 28 - 1 })).toBe(7);
  });
});
