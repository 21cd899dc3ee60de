import { expect, it } from "vitest";
import { type Results, report } from "../../examples/digits-private/report.js";
import { study } from "../../examples/digits-private/study.js";
import { random } from "../../src/tensor/random.js";
import { tensor } from "../../src/tensor/tensor.js";

const settings = {
  trainCount: 80,
  testCount: 20,
  batchSize: 40,
  steps: 3,
  maxNorm: 0.1,
  noiseMultiplier: 1,
  delta: 1e-3,
};

/** Not digits, but bars: label k is a dark stripe at height 2k, on noise. */
function stripes(samples: number) {
  const source = random(4);
  const x = new Float32Array(samples * 784).map(() => source.uniform(0, 0.3));
  for (let n = 0; n < samples; n++) x.fill(1, n * 784 + (n % 10) * 2 * 28, n * 784 + ((n % 10) * 2 + 2) * 28);
  const labels = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 10));
  return { x: tensor("float32", [samples, 1, 28, 28], x), target: tensor("int64", [samples], labels) };
}

it("a network is trained both ways, and looked at from the first step to the last", async () => {
  const told: string[] = [];
  const pair = await study({ train: stripes(80), test: stripes(20) }, 1, settings, {
    starts: (title, steps) => told.push(`${title}: ${steps}`),
    ends: ({ points }) => told.push(`${points.length} looks`),
  });
  // 8 epochs of two batches, the second of 16 samples, and a look every other step.
  expect(told).toEqual(["without privacy, seed 1: 16", "9 looks", "private, seed 1: 3", "4 looks"]);
  expect(pair.plain.points.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(pair.plain.points[0]?.accuracy).toBe(pair.private.points[0]?.accuracy);
  expect(pair.private.epsilon).toHaveLength(3);
  expect(pair.private.epsilon[0]).toBeLessThan(pair.private.epsilon[2] ?? 0);
  for (const share of pair.private.clipped) expect(share >= 0 && share <= 1).toBe(true);
});

it("the report says what was found, and needs nothing else", () => {
  const course = (accuracy: number) => ({
    points: [0, 1, 2.5].map((epoch) => ({ epoch, accuracy: (accuracy * epoch) / 2.5 })),
    seconds: 12.3,
  });
  const results: Results = {
    settings,
    pairs: [1, 2].map((seed) => ({
      seed,
      plain: course(0.9 + seed / 100),
      private: { ...course(0.8 + seed / 100), epsilon: [1, 2, 2.996], clipped: [1, 0.5, 0.25] },
    })),
  };
  const html = report(results);
  expect(html).not.toMatch(/https?:|<script|<link|<img|@import|\bsrc=|\bhref=|url\((?!#)/);
  expect(html).not.toMatch(/NaN|undefined|Infinity/);
  // The means of 81 and 82 %, and of 91 and 92 %; epsilon is never rounded down.
  for (const text of ["81.5 %", "91.5 %", "<td>82.0 %</td>", "3.00", "2 starts"]) expect(html).toContain(text);
  expect([...html.matchAll(/<svg/g)]).toHaveLength(3);
  expect(report({ ...results, pairs: results.pairs.slice(0, 1) })).not.toMatch(/NaN|undefined|Infinity/);
});
