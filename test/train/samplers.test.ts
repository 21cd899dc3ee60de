/** Batches are drawn as their accounting assumes. */
import { describe, expect, it } from "vitest";
import { secretBits, seededBits } from "../../src/privacy/random-bits.js";
import { poisson, samplerOf } from "../../src/train/samplers.js";

/** How many deviations a count lies from that of a binomial distribution. */
function deviations(count: number, trials: number, probability: number): number {
  const deviation = Math.sqrt(trials * probability * (1 - probability));
  return deviation === 0 ? count - trials * probability : (count - trials * probability) / deviation;
}

/** Beyond it with a probability of about 10^-10. */
const most = 6.5;

const drawMany = (samples: number, expected: number, draws: number, seed: number | null) => {
  const batches = Array.from({ length: draws }, (_, step) =>
    poisson(samples, expected, seed === null ? secretBits : seededBits(seed, "sample", step)),
  );
  const counts = new Uint32Array(samples);
  for (const batch of batches) for (const sample of batch) counts[sample] = (counts[sample] ?? 0) + 1;
  return { batches, counts };
};

describe.each([
  ["secret", null],
  ["seeded", 3],
] as const)("Poisson sampling, %s", (_, seed) => {
  it.each([
    [100, 1],
    [100, 30],
    [97, 64],
    [3, 2],
    [50, 50],
  ])("of %i samples takes each with probability %i in that many", (samples, expected) => {
    const draws = 4000;
    const { batches, counts } = drawMany(samples, expected, draws, seed);
    const q = expected / samples;
    const total = counts.reduce((sum, count) => sum + count, 0);
    expect(Math.abs(deviations(total, draws * samples, q))).toBeLessThan(most);
    for (const count of counts) expect(Math.abs(deviations(count, draws, q))).toBeLessThan(most);
    for (const batch of batches) expect([...new Set(batch)].sort((a, b) => a - b)).toEqual([...batch]);
  });

  it("takes them independently: batch sizes vary as a binomial distribution does, and pairs meet as often as they should", () => {
    const [samples, expected, draws] = [40, 8, 20_000];
    const { batches } = drawMany(samples, expected, draws, seed);
    const q = expected / samples;
    const variance = batches.reduce((sum, { length }) => sum + (length - expected) ** 2, 0) / draws;
    const wanted = samples * q * (1 - q);
    // The variance of a variance's estimate is about 2 wanted^2 / draws.
    expect(Math.abs(variance - wanted)).toBeLessThan(most * wanted * Math.sqrt(2 / draws));
    for (const [a, b] of [
      [0, 1],
      [5, 39],
      [17, 18],
    ] as const) {
      const both = batches.filter((batch) => batch.includes(a) && batch.includes(b)).length;
      expect(Math.abs(deviations(both, draws, q * q))).toBeLessThan(most);
    }
  });

  it("gives empty batches, too", () => {
    const { batches } = drawMany(10, 1, 2000, seed);
    const empty = batches.filter(({ length }) => length === 0).length;
    expect(Math.abs(deviations(empty, 2000, 0.9 ** 10))).toBeLessThan(most);
  });
});

it("seeded batches are the same at the same step", () => {
  const draw = (step: number) => samplerOf("poisson", { samples: 50, batchSize: 10, seed: 1, order: 1 }).draw(step);
  expect(draw(3)).toEqual(draw(3));
  expect(draw(3)).not.toEqual(draw(4));
});

describe("shuffled sampling", () => {
  const sampler = (order: number) => samplerOf("shuffled", { samples: 23, batchSize: 5, seed: null, order });

  it("uses each sample once in each epoch, in another order", () => {
    const own = sampler(1);
    expect(own.stepsPerEpoch).toBe(5);
    const epochs = [0, 1, 2].map((epoch) => [0, 1, 2, 3, 4].flatMap((k) => [...own.draw(5 * epoch + k)]));
    for (const epoch of epochs)
      expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 23 }, (_, n) => n));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(own.draw(4).length).toBe(3);
  });

  it("is a function of its order, from whatever step it goes on", () => {
    expect(sampler(2).draw(12)).toEqual(sampler(2).draw(12));
    expect(sampler(2).draw(12)).not.toEqual(sampler(3).draw(12));
  });
});

it("uniform sampling draws so many different samples, each as often", () => {
  const own = samplerOf("uniform", { samples: 12, batchSize: 5, seed: 4, order: 0 });
  const counts = new Uint32Array(12);
  for (let step = 0; step < 5000; step++) {
    const batch = own.draw(step);
    expect(new Set(batch).size).toBe(5);
    for (const sample of batch) counts[sample] = (counts[sample] ?? 0) + 1;
  }
  for (const count of counts) expect(Math.abs(deviations(count, 5000, 5 / 12))).toBeLessThan(most);
});

it("refuses batches that cannot be", () => {
  const of = (batchSize: number) => () => samplerOf("poisson", { samples: 10, batchSize, seed: null, order: 0 });
  for (const size of [0, -1, 1.5, Number.NaN])
    expect(of(size)).toThrow("A batch's size must be a whole number from 1 up");
  expect(of(11)).toThrow("A batch of 11 cannot be drawn from 10 samples");
});
