/** The noise is normal, of the size it says, and adds on a grid that does not depend on the data. */
import erfc from "@stdlib/math-base-special-erfc";
import { describe, expect, it } from "vitest";
import { Normals, normalsAtOnce } from "../../src/privacy/gaussian.js";
import { gridStep, withNoise } from "../../src/privacy/noise.js";
import { type RandomBits, secretBits, seededBits } from "../../src/privacy/random-bits.js";

const normalCdf = (x: number) => erfc(-x / Math.SQRT2) / 2;

/**
 * The Kolmogorov-Smirnov statistic times the square root of the number, of numbers that should be standard normal.
 * Above 3.4 with a probability of 2 exp(-2 * 3.4^2), below 10^-9 (Kolmogorov's limit).
 */
function kolmogorov(numbers: Float64Array): number {
  const sorted = numbers.slice().sort();
  let largest = 0;
  sorted.forEach((x, i) => {
    const p = normalCdf(x);
    largest = Math.max(largest, p - i / sorted.length, (i + 1) / sorted.length - p);
  });
  return largest * Math.sqrt(sorted.length);
}
const most = 3.4;

const drawn = (bits: RandomBits, count: number): Float64Array => {
  const numbers = new Float64Array(count);
  const normals = new Normals(bits);
  for (let from = 0; from < count; from += normalsAtOnce)
    normals.fill(numbers.subarray(from), Math.min(normalsAtOnce, count - from));
  return numbers;
};

const sources = [
  ["of the cryptographic generator", secretBits],
  ["of a seed", seededBits(1, "noise", 0)],
] as const;

describe.each(sources)("normal numbers %s", (_, bits) => {
  // Moved by 0.01 the statistic is about 0.004 sqrt(count), give or take 0.5: 6.9 of so many, far from 3.4. Of a million it
  // would be 4.0, and stay below 3.4 now and then.
  const numbers = drawn(bits, 3_000_000);

  it("pass a Kolmogorov-Smirnov test, which numbers 2 % too large, or moved by 0.01, do not", () => {
    expect(kolmogorov(numbers)).toBeLessThan(most);
    expect(kolmogorov(numbers.map((x) => x * 1.02))).toBeGreaterThan(most);
    expect(kolmogorov(numbers.map((x) => x + 0.01))).toBeGreaterThan(most);
  });

  it.each([1, 2, 3, 3.6541528853610088, 4, 4.5])("lie beyond %d as often as they should, on both sides", (x) => {
    const p = normalCdf(-x);
    const deviation = Math.sqrt(numbers.length * p * (1 - p));
    for (const sign of [1, -1]) {
      const beyond = numbers.reduce((count, z) => count + (sign * z > x ? 1 : 0), 0);
      expect(Math.abs(beyond - numbers.length * p)).toBeLessThan(6.5 * deviation + 1);
    }
  });

  it("are not correlated with their neighbours", () => {
    for (const lag of [1, 2, 3]) {
      let sum = 0;
      for (let i = lag; i < numbers.length; i++) sum += (numbers[i] as number) * (numbers[i - lag] as number);
      expect(Math.abs(sum) / Math.sqrt(numbers.length)).toBeLessThan(6.5);
    }
  });
});

it("secret numbers are never the same again, seeded ones always for the same seed, purpose and step", () => {
  expect(drawn(secretBits, 8)).not.toEqual(drawn(secretBits, 8));
  expect(drawn(seededBits(1, "noise", 2), 20_000)).toEqual(drawn(seededBits(1, "noise", 2), 20_000));
  const firsts = [0, 1, 2, 3].flatMap((seed) =>
    (["noise", "sample", "count", "order"] as const).flatMap((purpose) =>
      [0, 1, 2, 1000].map((step) => drawn(seededBits(seed, purpose, step), 1)[0]),
    ),
  );
  expect(new Set(firsts).size).toBe(firsts.length);
});

it("seeded streams of neighbouring seeds and steps are independent of each other", () => {
  const firsts = Array.from(
    { length: 40_000 },
    (_, k) => drawn(seededBits(k % 200, "noise", (k / 200) | 0), 1)[0] ?? 0,
  );
  expect(kolmogorov(Float64Array.from(firsts))).toBeLessThan(most);
  const sum = firsts.slice(1).reduce((total, z, i) => total + z * (firsts[i] as number), 0);
  expect(Math.abs(sum) / Math.sqrt(firsts.length)).toBeLessThan(6.5);
});

describe("noise on sums", () => {
  it.each([
    [1, 1],
    [1e-6, 0.3],
    [1e4, 8],
    [0.1, 50],
  ])("of sensitivity %d and noise multiplier %d is normal, of their product", (sensitivity, noiseMultiplier) => {
    const a = Float64Array.from({ length: 150_000 }, (_, i) => Math.sin(i) * sensitivity);
    const sums = new Map([
      ["a", a],
      ["b", new Float64Array(50_000)],
    ]);
    const scale = 1 / 64;
    const noisy = withNoise(sums, { sensitivity, noiseMultiplier, scale, bits: secretBits });
    const numbers = [...sums].flatMap(([name, sum]) =>
      Array.from(noisy.get(name) ?? [], (x, i) => (x / scale - (sum[i] as number)) / (noiseMultiplier * sensitivity)),
    );
    expect(numbers.length).toBe(200_000);
    expect(kolmogorov(Float64Array.from(numbers))).toBeLessThan(most);
  });

  it("of multiplier 0 is none: the sums, scaled", () => {
    const sums = new Map([["a", Float64Array.of(1, -2.5, 0)]]);
    const noisy = withNoise(sums, { sensitivity: 1, noiseMultiplier: 0, scale: 0.5, bits: secretBits });
    expect(noisy.get("a")).toEqual(Float32Array.of(0.5, -1.25, 0));
  });

  it("comes out in whole steps of a grid, whatever the sums", () => {
    for (const sum of [0, 1 / 3, Math.PI, 1e-30, -0.7]) {
      const options = { sensitivity: 1, noiseMultiplier: 1, scale: 1, bits: secretBits };
      const noisy = withNoise(new Map([["a", new Float64Array(4).fill(sum)]]), options).get("a") ?? [];
      // Few enough steps for float32 to hold them all.
      for (const x of noisy) expect(Number.isInteger(x / gridStep(1, 4))).toBe(true);
    }
  });

  it("has a grid that moves all sums together by less than 2^-15 of their sensitivity", () => {
    for (const size of [1, 100, 1e6, 1e9]) {
      for (const sensitivity of [1e-3, 1, 123]) {
        const step = gridStep(sensitivity, size);
        expect(Number.isInteger(Math.log2(step))).toBe(true);
        expect((step / 2) * Math.sqrt(size) * 2).toBeLessThanOrEqual(2 ** -15 * sensitivity);
      }
    }
  });

  it("is not added to what is not finite: that would be a defect", () => {
    const options = { sensitivity: 1, noiseMultiplier: 1, scale: 1, bits: secretBits };
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => withNoise(new Map([["a", Float64Array.of(0, wrong)]]), options)).toThrow('sum of "a" is not finite');
  });
});
