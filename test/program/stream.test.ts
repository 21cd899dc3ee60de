import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  type Batch,
  type ErrorCode,
  losses,
  nn,
  type Progress,
  perSample,
  type Tensor,
  want,
} from "../../src/index.js";
import { writeTensors } from "../../src/io/files.js";
import { temporaryFolder } from "../support/folder.js";
import { expectClose, numbers } from "../support/per-sample.js";

const code = (expected: ErrorCode) => expect.objectContaining({ code: expected });
const samples = 11;
const xOf = (count: number): Tensor<"float32"> => {
  return { dtype: "float32", dims: [3, count], data: Float32Array.from(numbers([3, count], 1).data) };
};
const targetOf = (count: number): Tensor<"int64"> => {
  return { dtype: "int64", dims: [count], data: BigInt64Array.from({ length: count }, (_, n) => BigInt(n % 2)) };
};
const whole = { x: xOf(samples), target: targetOf(samples) };

/** Samples lie along axis 1 of the input. */
const network = nn.sequential(
  nn.module((x) => x.transpose([1, 0]), {}),
  nn.linear(3, 4),
  nn.tanh(),
  nn.linear(4, 2),
);
const model = nn.model(network, { input: { x: [3, "N"] } });
const wants = {
  norms: want.norms(),
  gradients: want.gradients(),
  mean: want.mean(),
  sum: want.clippedSum({ maxNorm: 0.1 }),
};
const compile = () => perSample(model, { loss: losses.crossEntropy(), want: wants });

function part(from: number, to: number): { x: Tensor<"float32">; target: Tensor<"int64"> } {
  const x = [0, 1, 2].flatMap((row) => [...whole.x.data.subarray(row * samples + from, row * samples + to)]);
  return {
    x: { dtype: "float32", dims: [3, to - from], data: Float32Array.from(x) },
    target: { dtype: "int64", dims: [to - from], data: whole.target.data.slice(from, to) },
  };
}

async function collect<T>(chunks: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const chunk of chunks) found.push(chunk);
  return found;
}

/** Batches of sizes 4, 0, 5 and 2; tells how many were taken, and whether the source was closed. */
function batches() {
  const state = { taken: 0, closed: false };
  async function* source(): AsyncGenerator<Batch> {
    try {
      for (const [from, to] of [
        [0, 4],
        [4, 4],
        [4, 9],
        [9, 11],
      ] as const) {
        state.taken += 1;
        yield part(from, to);
      }
    } finally {
      state.closed = true;
    }
  }
  return { state, source: source() };
}

async function files(): Promise<string[]> {
  const folder = temporaryFolder();
  const paths = [join(folder, "data.safetensors"), join(folder, "data.npz")];
  for (const path of paths) await writeTensors(path, { ...whole, unrelated: xOf(2) });
  return paths;
}

describe("a stream", () => {
  it("gives for each chunk what a run of its samples gives: of arrays, of files, of batches", async () => {
    const program = await compile();
    for (const dataset of [whole, ...(await files())]) {
      const chunks = await collect(program.stream(dataset, { chunkSize: 4 }));
      expect(chunks.map(({ from, to }) => [from, to])).toEqual([
        [0, 4],
        [4, 8],
        [8, 11],
      ]);
      for (const { from, to, results } of chunks) expect(results).toEqual(await program.run(part(from, to)));
    }
    const cut = await collect(program.stream(batches().source, { chunkSize: 3 }));
    expect(cut.map(({ from, to }) => [from, to])).toEqual([
      [0, 3],
      [3, 4],
      [4, 4],
      [4, 7],
      [7, 9],
      [9, 11],
    ]);
    for (const { from, to, results } of cut) expect(results).toEqual(await program.run(part(from, to)));
  });

  it("gives whole results, as run does, by runAll", async () => {
    const program = await compile();
    const wanted = await program.run(whole);
    for (const dataset of [whole, ...(await files()), batches().source, [whole], [part(0, 7), part(7, 11)]]) {
      const { norms, gradients, mean, sum } = await program.runAll(dataset, { chunkSize: 3 });
      expectClose(norms.total.data, wanted.norms.total.data, 1e-6, "norms");
      expect(gradients["1.weight"]?.dims).toEqual([samples, 4, 3]);
      for (const [name, { data }] of Object.entries(wanted.gradients)) {
        expectClose(gradients[name]?.data ?? [], data, 1e-6, name);
        expectClose(mean[name]?.data ?? [], wanted.mean[name]?.data ?? [], 1e-6, name);
        expectClose(sum.sum[name]?.data ?? [], wanted.sum.sum[name]?.data ?? [], 1e-6, name);
      }
    }
  });

  it("of nothing is empty", async () => {
    const program = await compile();
    const wanted = await program.run(part(0, 0));
    expect(await program.runAll([])).toEqual(wanted);
    expect(await program.runAll(part(0, 0))).toEqual(wanted);
    expect(await collect(program.stream([]))).toEqual([]);
    expect(await collect(program.stream(part(0, 0)))).toEqual([{ from: 0, to: 0, results: wanted }]);
  });

  it("computes a chunk when it is asked for, and takes no batch before", async () => {
    const program = await compile();
    const { state, source } = batches();
    const progress: Progress[] = [];
    const stream = program.stream(source, { chunkSize: 4, onProgress: (now) => progress.push(now) });
    expect(state.taken).toBe(0);
    await stream.next();
    await sleep(20);
    expect(state.taken).toBe(1);
    expect(progress).toEqual([{ samples: 4 }]);
    await stream.next();
    expect(state.taken).toBe(2);
    await stream.return();
    expect(state.closed).toBe(true);
  });

  it("tells its progress, of how many samples where that is known", async () => {
    const program = await compile();
    const progress: Progress[] = [];
    await program.runAll(whole, { chunkSize: 5, onProgress: (now) => progress.push(now) });
    expect(progress).toEqual([5, 10, 11].map((done) => ({ samples: done, total: samples })));
  });

  it("closes its source when the loop is left, and when a batch is wrong", async () => {
    const program = await compile();
    const left = batches();
    for await (const { to } of program.stream(left.source)) if (to > 0) break;
    expect(left.state).toEqual({ taken: 1, closed: true });

    const wrong = batches();
    const spoilt = (async function* () {
      for await (const batch of wrong.source)
        yield wrong.state.taken < 3 ? batch : { ...batch, target: [0, 1, 7, 0, 1] };
    })();
    await expect(collect(program.stream(spoilt))).rejects.toEqual(code("LABEL_OUT_OF_RANGE"));
    expect(wrong.state).toEqual({ taken: 3, closed: true });
    await expect(collect(program.stream([part(0, 4), { x: whole.x, target: [1] }]))).rejects.toThrow(
      /^In the batch that starts at sample 4, counted from there: .*samples/,
    );
  });

  it("ends with the signal's reason: before it begins, between chunks, and while its source has nothing", async () => {
    const program = await compile();
    await expect(collect(program.stream(whole, { signal: AbortSignal.abort() }))).rejects.toThrow(
      expect.objectContaining({ name: "AbortError" }),
    );
    const { state, source } = batches();
    const between = new AbortController();
    const seen: number[] = [];
    const run = async () => {
      for await (const { to } of program.stream(source, { signal: between.signal })) {
        seen.push(to);
        between.abort(new Error("enough"));
      }
    };
    await expect(run()).rejects.toThrow("enough");
    expect(seen).toEqual([4]);
    await sleep(0);
    expect(state).toEqual({ taken: 1, closed: true });

    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<Batch>>(() => {}) }) };
    const waiting = new AbortController();
    const hanging = collect(program.stream(silent, { signal: waiting.signal }));
    setTimeout(() => waiting.abort(new Error("too late")), 10);
    await expect(hanging).rejects.toThrow("too late");
  });

  it("refuses files that cannot be read, lack an input, or hold different numbers of samples", async () => {
    const program = await compile();
    const folder = temporaryFolder();
    const path = join(folder, "data.safetensors");
    await expect(program.runAll(path)).rejects.toEqual(code("FILE_UNREADABLE"));
    await writeTensors(path, { x: whole.x });
    await expect(program.runAll(path)).rejects.toEqual(code("MISSING_TENSOR"));
    await writeTensors(path, { x: whole.x, target: targetOf(4) });
    await expect(program.runAll(path)).rejects.toThrow(/holds 4 samples, but "x" holds 11/);
    const flat = { dtype: "float32", dims: [33], data: whole.x.data } as const;
    await writeTensors(path, { x: flat, target: whole.target });
    await expect(program.runAll(path)).rejects.toEqual(code("SHAPE_MISMATCH"));
    await expect(program.runAll(whole, { chunkSize: 0 })).rejects.toEqual(code("INVALID_ARGUMENT"));
  });

  it("takes a chunk's arrays away when the next is asked for, if it may", async () => {
    const program = await compile();
    const wanted = await collect(program.stream(whole, { chunkSize: 4 }));
    const kept: Tensor[] = [];
    let chunks = 0;
    for await (const { results } of program.stream(whole, { chunkSize: 4, reuse: true })) {
      for (const { data } of kept) expect(data.length).toBe(0);
      expect(results).toEqual(wanted[chunks++]?.results);
      kept.push(results.norms.total, ...Object.values(results.gradients));
    }
    expect(chunks).toBe(3);
    expect(kept).toHaveLength(15);
  });

  it("gives pairs within each chunk; all of them it cannot give in chunks", async () => {
    const program = await perSample(model, { loss: losses.crossEntropy(), want: { gram: want.gram() } });
    const chunks = await collect(program.stream(whole, { chunkSize: 6 }));
    expect(chunks.map(({ results }) => results.gram.dims)).toEqual([
      [6, 6],
      [5, 5],
    ]);
    expect((await program.runAll(whole)).gram.dims).toEqual([samples, samples]);
    await expect(program.runAll(whole, { chunkSize: 6 })).rejects.toThrow(/takes all samples at once/);
  });
});
