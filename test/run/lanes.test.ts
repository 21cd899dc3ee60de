/** Several worker threads of one program: as one thread computes it, in order, whatever takes longer. */
import { describe, expect, it } from "vitest";
import { type Batch, losses, nn, perSample, type Tensor, want } from "../../src/index.js";
import { Lanes } from "../../src/target/onnxruntime/lanes.js";
import type { Running } from "../../src/target/target.js";
import { workspace } from "../cli/support.js";
import { expectClose } from "../support/per-sample.js";
import { tensorsIn } from "../support/tensors-in.js";

const samples = 37;
const sines = (dims: readonly number[]): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => Math.sin(k + 1)),
});
const data = {
  x: sines([samples, 5]),
  target: { dtype: "int64", dims: [samples], data: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 3)) },
} as const;
const model = nn.model(nn.sequential(nn.linear(5, 6), nn.tanh(), nn.linear(6, 3)), { seed: 1 });
const options = {
  loss: losses.crossEntropy(),
  want: {
    norms: want.norms(),
    gradients: want.gradients(),
    clipped: want.clippedSum({ maxNorm: 0.1 }),
    mean: want.mean(),
  },
};

const close = (found: unknown, wanted: unknown) => {
  const [own, other] = [tensorsIn(found), tensorsIn(wanted)];
  expect(own.map(([at]) => at)).toEqual(other.map(([at]) => at));
  for (const [k, [at, tensor]] of own.entries()) expectClose(tensor.data, other[k]?.[1].data ?? [], 1e-6, at);
};

describe("a program with two threads", () => {
  it("streams the chunks of one thread, in order, and joins them alike", async () => {
    const [one, two] = [await perSample(model, options), await perSample(model, { ...options, workers: 2 })];
    const chunks = one.stream(data, { chunkSize: 5 });
    const seen: number[] = [];
    for await (const { from, to, results } of two.stream(data, {
      chunkSize: 5,
      onProgress: (p) => seen.push(p.samples),
    })) {
      const { value } = await chunks.next();
      expect([from, to]).toEqual([value?.from, value?.to]);
      close(results, value?.results);
    }
    expect((await chunks.next()).done).toBe(true);
    expect(seen).toEqual([5, 10, 15, 20, 25, 30, 35, 37]);
    close(await two.runAll(data, { chunkSize: 4 }), await one.run(data));
    close(await two.run(data), await one.run(data));
    await Promise.all([one.release(), two.release()]);
  });

  it("throws what is wrong with a chunk when its turn has come, and closes the data", async () => {
    const program = await perSample(model, { ...options, workers: 2 });
    const closed: boolean[] = [];
    const batch = (from: number, label: bigint): Batch => ({
      x: { ...data.x, dims: [3, 5], data: data.x.data.slice(5 * from, 5 * from + 15) },
      target: BigInt64Array.of(0n, label, 1n),
    });
    async function* batches(): AsyncGenerator<Batch> {
      try {
        for (const label of [0n, 1n, 2n, 0n, 7n, 1n, 2n]) yield batch(0, label);
      } finally {
        closed.push(true);
      }
    }
    const done: number[] = [];
    const all = async () => {
      for await (const { to } of program.stream(batches())) done.push(to);
    };
    await expect(all()).rejects.toMatchObject({
      code: "LABEL_OUT_OF_RANGE",
      message: expect.stringContaining("In the batch that starts at sample 12, counted from there"),
    });
    expect([done, closed]).toEqual([[3, 6, 9, 12], [true]]);
    const stopped = new AbortController();
    const iterator = program.stream(data, { chunkSize: 2, signal: stopped.signal });
    await iterator.next();
    stopped.abort(new Error("enough"));
    await expect(iterator.next()).rejects.toThrow("enough");
    await program.release();
  });

  it("is refused where it has no thread", async () => {
    await expect(perSample(model, { ...options, workers: 0 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

it("runs go to the lane that has the least to do", async () => {
  const asked: number[] = [];
  const finish: (() => void)[] = [];
  const lane = (k: number): Running => ({
    held: new Set(),
    isReady: () => true,
    run: () => {
      asked.push(k);
      return new Promise((resolve) => finish.push(() => resolve({})));
    },
    release: async () => undefined,
  });
  const lanes = new Lanes([lane(0), lane(1)]);
  const first = [lanes.run({}, 1), lanes.run({}, 1), lanes.run({}, 1)];
  finish[1]?.();
  await first[1];
  const last = lanes.run({}, 1);
  expect(asked).toEqual([0, 1, 0, 1]);
  for (const each of finish) each();
  await Promise.all([...first, last]);
});

describe("pergrad --workers 2", () => {
  const commands: readonly (readonly string[])[] = [
    ["norms"],
    ["grads"],
    ["project", "--dims", "7"],
    ["clipped-sum", "--max-norm", "0.2"],
  ];
  it.each(commands)("%s writes what one thread writes", async (command, ...more) => {
    const { result } = await workspace(model, data);
    const found = [];
    for (const own of [[], ["--workers", "2"]]) {
      const given = ["--loss", "cross_entropy", "--microbatch-size", "5", ...more, ...own];
      const { tensors } = await result(command ?? "", ...given);
      found.push(Object.fromEntries(tensors));
    }
    close(found[1], found[0]);
  });
});
