/** Whatever takes long ends by its signal: before the next batch, with the signal's reason, and nothing is lost. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  attribution,
  curvature,
  diagnostics,
  findIssues,
  kroneckerCurvature,
  laplace,
  losses,
  nn,
  perSample,
  sgd,
  want,
} from "../../src/index.js";

const samples = 40;
const x = Float32Array.from({ length: 3 * samples }, (_, k) => Math.sin(1 + k));
const target = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 2));
const data = { x, target };
const model = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
const loss = losses.crossEntropy();
const reason = new Error("enough");

const folder = mkdtempSync(join(tmpdir(), "pergrad-signals-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Batches of the data, of which the `last`-th aborts when it is asked for; how many were. */
function abortingAt(last: number) {
  const controller = new AbortController();
  const counted = { asked: 0 };
  const size = 4;
  const batches = {
    *[Symbol.iterator]() {
      for (let n = 0; n < samples; n += size) {
        if (++counted.asked === last) controller.abort(reason);
        yield { x: x.slice(3 * n, 3 * (n + size)), target: target.slice(n, n + size) };
      }
    },
  };
  return { batches, counted, signal: controller.signal };
}

describe("a signal ends", () => {
  const tasks: Readonly<Record<string, (batches: Iterable<typeof data>, signal: AbortSignal) => Promise<unknown>>> = {
    "a program's runs": async (batches, signal) => {
      const program = await perSample(model, { loss, signal, want: { norms: want.norms() } });
      return program.runAll(batches).finally(() => program.release());
    },
    "products with the curvature": async (batches, signal) => {
      const found = await curvature(model, batches, { loss, of: "ggn", signal });
      return found.topEigenvalues(2).finally(() => found.release());
    },
    "its trace": async (batches, signal) => {
      const found = await curvature(model, batches, { loss, of: "ggn", signal });
      return found.trace().finally(() => found.release());
    },
    "Kronecker factors": (batches, signal) => kroneckerCurvature(model, batches, { loss, kind: "type2", signal }),
    "a Laplace approximation": (batches, signal) =>
      laplace(model, batches, { loss, structure: "diagonal", priorPrecision: 1, signal }),
    diagnostics: (batches, signal) => diagnostics(model, batches, { loss, signal }),
    scores: (batches, signal) => attribution.scores(model, batches, data, { loss, method: "gradDot", signal }),
    "self-influence": (batches, signal) => attribution.selfInfluence(model, batches, { loss, method: "trak", signal }),
  };

  it.each(Object.entries(tasks))("%s", async (_, task) => {
    for (const last of [1, 6]) {
      const { batches, counted, signal } = abortingAt(last);
      await expect(task(batches, signal)).rejects.toBe(reason);
      expect(counted.asked).toBe(last);
    }
    await expect(task([], AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("an index, which goes on afterwards with the shards that are there", async () => {
    const options = { loss, method: "trak", out: join(folder, "index"), shardSize: 8, dims: 16 } as const;
    const { batches, signal } = abortingAt(6);
    const done: number[] = [];
    const begun = attribution.index(model, batches, { ...options, signal, onProgress: (n) => done.push(n) });
    await expect(begun).rejects.toBe(reason);
    expect(done).toEqual([8, 16]);
    const index = await attribution.index(model, abortingAt(0).batches, options);
    const whole = await attribution.index(model, data, { ...options, out: join(folder, "whole") });
    const [found, expected] = [await index.query(data, { top: 3 }), await whole.query(data, { top: 3 })];
    expect(found.samples).toEqual(expected.samples);
    await whole.release();
    await expect(index.query(data, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const aborting = new AbortController();
    const parts = index.scores(data, { signal: aborting.signal });
    aborting.abort(reason);
    await expect(parts.next()).rejects.toBe(reason);
    expect((await index.query(data, { top: 3 })).samples).toEqual(expected.samples);
    await index.release();
  });

  it("findIssues, in training too", async () => {
    const stages: string[] = [];
    const controller = new AbortController();
    const at = (stage: string) => (name: string) => {
      stages.push(name);
      if (name === stage) controller.abort(reason);
    };
    const training = { optimizer: () => sgd({ learningRate: 0.1 }), epochs: 1, batchSize: 8, folds: 2 };
    const { signal } = controller;
    await expect(findIssues(model, data, { loss, training, signal, onStage: at("training") })).rejects.toBe(reason);
    expect(stages).toEqual(["reading", "training"]);
    await expect(findIssues(model, data, { loss, signal })).rejects.toBe(reason);
  });
});
