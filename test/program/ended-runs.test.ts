/** Runs end when their signal aborts; on a runtime with little memory they keep to it unasked. */
import { describe, expect, it } from "vitest";
import { check, losses, nn, type Tensor, want, workers } from "../../src/index.js";
import { Program } from "../../src/program/program.js";
import { usualApartSizes } from "../../src/target/onnxruntime/apart.js";
import { onnxruntimeWith } from "../../src/target/onnxruntime/index.js";
import { native } from "../../src/target/onnxruntime/native.js";
import type { ProfiledRuntime } from "../../src/target/target.js";

const model = nn.model(nn.sequential(nn.linear(6, 5), nn.tanh(), nn.linear(5, 3)), { seed: 1 });
const wants = { gradients: want.gradients(), sum: want.sum(), norms: want.norms() };
const options = { loss: losses.crossEntropy(), want: wants };

const dataOf = (samples: number): Record<string, Tensor> => ({
  x: { dtype: "float32", dims: [samples, 6], data: Float32Array.from({ length: 6 * samples }, (_, k) => Math.sin(k)) },
  target: { dtype: "int64", dims: [samples], data: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 3)) },
});

/** onnxruntime-node that counts the samples of each of its runs, and after one of them calls `seen`. */
function observed(mostMemory: number | undefined, seen: (runs: number) => void = () => {}) {
  const sizes: number[] = [];
  const runtime: ProfiledRuntime = {
    version: native.version,
    atOnce: false,
    mostMemory,
    load: async (bytes, given) => {
      const session = await native.load(bytes, given);
      return {
        release: () => session.release(),
        run: async (feeds) => {
          sizes.push(feeds.x?.dims[0] ?? -1);
          seen(sizes.length);
          return session.run(feeds);
        },
      };
    },
  };
  return { sizes, target: onnxruntimeWith(usualApartSizes, runtime) };
}

describe("a signal", () => {
  const reason = new Error("enough");

  it("ends a run before it begins", async () => {
    const { sizes, target } = observed(undefined);
    const program = await Program.compile(model, options, target);
    await expect(program.run(dataOf(4), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(sizes).toEqual([]);
    await program.release();
  });

  it("ends a run between two microbatches, after which the program still runs", async () => {
    const aborted = new AbortController();
    const { sizes, target } = observed(undefined, (runs) => runs === 3 && aborted.abort(reason));
    const program = await Program.compile(model, options, target);
    const running = program.run(dataOf(8), { microbatchSize: 1, signal: aborted.signal });
    await expect(running).rejects.toBe(reason);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(sizes).toEqual([1, 1, 1]);
    expect((await program.run(dataOf(8))).norms.total.dims).toEqual([8]);
    await program.release();
  });

  it("leaves a run in a worker at once", async () => {
    const pool = workers({ count: 1 });
    const program = await Program.compile(model, { ...options, workers: pool });
    const aborted = new AbortController();
    const running = program.run(dataOf(4), { signal: aborted.signal });
    aborted.abort(reason);
    await expect(running).rejects.toBe(reason);
    expect((await program.run(dataOf(4))).norms.total.dims).toEqual([4]);
    await pool.release();
  });

  it("ends a check", async () => {
    const aborted = new AbortController();
    const seen: number[] = [];
    const onProgress = (done: number) => {
      seen.push(done);
      if (done === 2) aborted.abort(reason);
    };
    const { loss } = options;
    const checking = check(model, dataOf(6), { loss, differences: 0, onProgress, signal: aborted.signal });
    await expect(checking).rejects.toBe(reason);
    expect(seen).toEqual([0, 1, 2]);
  });
});

describe("a runtime with little memory", () => {
  it("is given parts of a batch that fit, with the same results, and one sample where none fits", async () => {
    const data = dataOf(40);
    const whole = await Program.compile(model, options);
    const expected = await whole.run(data);
    const most = whole.memory(10);
    await whole.release();
    for (const [limit, largest] of [
      [most, 10],
      [1, 1],
    ] as const) {
      const { sizes, target } = observed(limit);
      const program = await Program.compile(model, options, target);
      const found = await program.run(data);
      expect(sizes).toEqual(Array.from({ length: 40 / largest }, () => largest));
      for (const [n, norm] of found.norms.total.data.entries())
        expect(norm).toBeCloseTo(expected.norms.total.data[n] ?? Number.NaN, 5);
      for (const [name, { data: sum }] of Object.entries(found.sum))
        for (const [k, each] of sum.entries()) expect(each).toBeCloseTo(expected.sum[name]?.data[k] ?? Number.NaN, 4);
      // What the caller asks for goes first.
      sizes.length = 0;
      await program.run(data, { microbatchSize: 40 });
      expect(sizes).toEqual([40]);
      await program.release();
    }
  });

  it("runs what cannot be split as a whole", async () => {
    const { sizes, target } = observed(1);
    const program = await Program.compile(model, { loss: losses.crossEntropy(), want: { gram: want.gram() } }, target);
    await program.run(dataOf(12));
    expect(sizes).toEqual([12]);
    await program.release();
  });
});
