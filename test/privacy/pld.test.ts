/** The privacy loss distribution: its bounds hold the truth, found in other ways, and lie close together. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { delta, epsilon, type GaussianMechanism, noiseMultiplierFor, PldAccountant } from "../../src/privacy/index.js";
import { normalCdf } from "../../src/privacy/special.js";
import "../support/seed.js";
import { gaussian } from "./support.js";

function bounds(mechanisms: readonly GaussianMechanism[], delta: number): { lower: number; upper: number } {
  const pld = new PldAccountant();
  return { lower: pld.epsilonLower(mechanisms, delta), upper: pld.epsilonUpper(mechanisms, delta) };
}

// By dp-accounting 0.6.0 (Google), connecting dots at steps of 1e-4, 1e-5 or 1e-6: never too small.
test.each([
  [0.8, 0.001, 100, 1e-6, 0.2603387],
  [1.5, 0.05, 1000, 1e-6, 6.1996954],
  [1.5, 0.04, 2250, 1e-5, 6.7687874],
  [1.3, 150 / 60000, 6000, 1e-5, 0.6400047],
  [5, 0.01, 100, 1e-5, 0.06124299],
  [1, 0.5, 1, 1e-5, 3.533998],
  [100, 0.1, 1, 1e-5, 0.0019591042],
  [0.05, 0.01, 3, 1e-5, 442.8831],
])("noise %d, rate %d, %d steps at delta %d: epsilon is dp-accounting's, %d", (s, q, k, delta, expected) => {
  const { lower, upper } = bounds([gaussian(s, q, k)], delta);
  expect(Math.abs(upper / expected - 1)).toBeLessThan(1e-4);
  expect(lower).toBeLessThanOrEqual(expected);
  expect(upper - lower).toBeLessThan(0.006 * upper);
});

// The accountant of Gopi, Lee and Wutschitz 2021 adds its error, 0.01, to what it finds, and names these.
test.each([
  [0.8, 0.001, 100, 0.2704, 0.001],
  [1.5, 0.05, 1000, 6.21, 0.01],
])("noise %d, rate %d, %d steps at delta 1e-6: epsilon is %d less an error of 0.01", (s, q, k, named, within) => {
  const { lower, upper } = bounds([gaussian(s, q, k)], 1e-6);
  expect(lower).toBeLessThan(named - 0.01);
  expect(Math.abs(upper + 0.01 - named)).toBeLessThan(within);
});

/** E_P[(1 - e^(epsilon - loss))+] of one step by Simpson's rule over the outcomes. */
function integrated({ noiseMultiplier: s, samplingRate: q }: GaussianMechanism, epsilon: number): number {
  const without = (x: number) => Math.exp((-x * x) / (2 * s * s)) / (s * Math.sqrt(2 * Math.PI));
  const withIt = (x: number) => (1 - q) * without(x) + q * without(x - 1);
  const count = 200_000;
  const [low, high] = [-12 * s, 1 + 12 * s];
  const sums = [0, 0];
  for (let i = 0; i <= count; i++) {
    const x = low + ((high - low) * i) / count;
    const weight = i === 0 || i === count ? 1 : 2 + 2 * (i % 2);
    sums[0] = (sums[0] ?? 0) + weight * Math.max(0, withIt(x) - Math.exp(epsilon) * without(x));
    sums[1] = (sums[1] ?? 0) + weight * Math.max(0, without(x) - Math.exp(epsilon) * withIt(x));
  }
  return (Math.max(...sums) * (high - low)) / count / 3;
}

test("of one step, delta is the integral over the outcomes", () => {
  for (const [s, q, at] of [
    [1, 0.1, 0.5],
    [0.5, 0.01, 1],
    [3, 0.5, 0.1],
    [2, 0.9, 0],
    [0.7, 0.001, 0.002],
  ] as const) {
    const pld = new PldAccountant();
    const truth = integrated(gaussian(s, q, 1), at);
    const [lower, upper] = [pld.deltaLower([gaussian(s, q, 1)], at), pld.deltaUpper([gaussian(s, q, 1)], at)];
    expect(lower).toBeLessThanOrEqual(truth * (1 + 1e-6));
    expect(upper).toBeGreaterThanOrEqual(truth * (1 - 1e-6));
    expect(upper / truth).toBeLessThan(1.001);
    expect(lower / truth).toBeGreaterThan(0.95);
  }
});

test("without subsampling it is the analytic Gaussian mechanism, of any number of steps", () => {
  const arbitrary = fc.tuple(fc.double({ min: 0.5, max: 20, noNaN: true }), fc.integer({ min: 1, max: 50 }));
  fc.assert(
    fc.property(arbitrary, fc.double({ min: 0, max: 5, noNaN: true }), ([s, k], at) => {
      const mu = Math.sqrt(k) / s;
      const formula = normalCdf(mu / 2 - at / mu) - Math.exp(at) * normalCdf(-mu / 2 - at / mu);
      expect(Math.abs(delta([gaussian(s, 1, k)], { epsilon: at }) - formula)).toBeLessThan(1e-13 * Math.exp(at));
    }),
  );
});

const log = (least: number, most: number) =>
  fc.double({ min: Math.log(least), max: Math.log(most), noNaN: true }).map(Math.exp);
const setting = fc.record({
  s: log(0.4, 20),
  q: log(1e-4, 0.9),
  k: log(1, 1000).map(Math.round),
  delta: log(1e-10, 0.1),
});
const runs = { numRuns: 10 };

describe("everywhere", () => {
  // The grid may put epsilon up by a few parts in 100,000, or as much as changes delta by that.
  const slack = (value: number) => value * (1 + 1e-4) + 1e-4;

  test("lower <= upper <= what Renyi's divergence gives", () => {
    fc.assert(
      fc.property(setting, ({ s, q, k, delta }) => {
        const { lower, upper } = bounds([gaussian(s, q, k)], delta);
        expect(lower).toBeLessThanOrEqual(upper);
        expect(upper).toBeLessThanOrEqual(slack(epsilon([gaussian(s, q, k)], { delta, accountant: "rdp" })));
      }),
      runs,
    );
  });

  test("epsilon grows with the steps and the rate, and falls with noise and delta", () => {
    fc.assert(
      fc.property(setting, log(1.01, 3), ({ s, q, k, delta }, factor) => {
        const of = (mechanism: GaussianMechanism, at = delta) => epsilon([mechanism], { delta: at });
        const here = of(gaussian(s, q, k));
        expect(here).toBeLessThanOrEqual(slack(of(gaussian(s, q, Math.ceil(k * factor)))));
        expect(here).toBeLessThanOrEqual(slack(of(gaussian(s, Math.min(1, q * factor), k))));
        expect(here).toBeLessThanOrEqual(slack(of(gaussian(s / factor, q, k))));
        expect(here).toBeLessThanOrEqual(slack(of(gaussian(s, q, k), delta / factor)));
      }),
      runs,
    );
  });

  test("epsilon of a delta and delta of an epsilon agree", () => {
    fc.assert(
      fc.property(setting, ({ s, q, k, delta: wanted }) => {
        const at = epsilon([gaussian(s, q, k)], { delta: wanted });
        fc.pre(at > 0);
        const found = delta([gaussian(s, q, k)], { epsilon: at });
        expect(Math.abs(found / wanted - 1)).toBeLessThan(0.01);
      }),
      runs,
    );
  });
});

test("k and m steps are k + m, in any order, and different mechanisms cost more than either and less than both", () => {
  const [a, b] = [gaussian(1, 0.01, 300), gaussian(2, 0.05, 100)];
  const of = (...mechanisms: readonly GaussianMechanism[]) => epsilon(mechanisms, { delta: 1e-5 });
  expect(of(gaussian(1, 0.01, 100), gaussian(1, 0.01, 200))).toBe(of(a));
  expect(of(b, a)).toBe(of(a, b));
  expect(of(a, b)).toBeGreaterThan(Math.max(of(a), of(b)));
  expect(of(a, b)).toBeLessThan(of(a) + of(b));
  // A release of the whole dataset's sum among subsampled ones; dp-accounting 0.6.0 at steps of 1e-4.
  const mixed = bounds([gaussian(1, 0.01, 300), gaussian(4, 1, 2), gaussian(2, 0.05, 100)], 1e-5);
  expect(mixed.upper / 2.062845).toBeCloseTo(1, 3);
  expect(mixed.lower).toBeLessThanOrEqual(2.062845);
});

test("an accountant that is asked again and again answers as a new one does", () => {
  const pld = new PldAccountant();
  for (let k = 1; k <= 120; k += 7) {
    expect(pld.epsilonUpper([gaussian(1, 0.02, k)], 1e-5)).toBe(epsilon([gaussian(1, 0.02, k)], { delta: 1e-5 }));
  }
});

test("no noise is no privacy, and no steps, no samples or no mechanism cost nothing", () => {
  for (const accountant of ["pld", "rdp", "gdp"] as const) {
    expect(epsilon([gaussian(0, 0.1, 1)], { delta: 1e-5, accountant })).toBe(Number.POSITIVE_INFINITY);
    expect(delta([gaussian(0, 0.1, 1)], { epsilon: 1, accountant })).toBe(1);
    expect(epsilon([gaussian(1, 0.1, 1)], { delta: 0, accountant })).toBe(Number.POSITIVE_INFINITY);
    expect(epsilon([gaussian(1, 0.1, 1)], { delta: 1, accountant })).toBe(0);
    for (const nothing of [[], [gaussian(0, 0, 5)], [gaussian(0, 0.5, 0)]]) {
      expect(epsilon(nothing, { delta: 0, accountant })).toBe(0);
      expect(delta(nothing, { epsilon: 0, accountant })).toBe(0);
    }
  }
});

// Of a grid's limits and beyond them; below a noise of 1e-3 it is Renyi's divergence that answers.
test.each([
  [gaussian(1e-3, 0.1, 3), 1e-5],
  [gaussian(1e-6, 0.1, 3), 1e-5],
  [gaussian(1e-160, 0.1, 3), 1e-5],
  [gaussian(1e6, 0.01, 100), 1e-5],
  [gaussian(1e155, 0.5, 1), 1e-5],
  [gaussian(1, 1e-12, 100), 1e-15],
  [gaussian(1, 1e-300, 10), 1e-5],
  [gaussian(1, 1 - 1e-12, 100), 1e-5],
  [gaussian(1, 0.01, 100), 1e-310],
  [gaussian(1, 0.01, 100), 0.999],
  [gaussian(20, 1e-3, 1e8), 1e-5],
  [gaussian(1, 0.01, 1e12), 1e-5],
])("at extremes, %o at delta %d, the bounds are in order", (mechanism, at) => {
  const { lower, upper } = bounds([mechanism], at);
  expect(lower).toBeGreaterThanOrEqual(0);
  expect(upper).toBeGreaterThanOrEqual(lower);
  const rdp = epsilon([mechanism], { delta: at, accountant: "rdp" });
  expect(upper).toBeLessThanOrEqual(rdp * (1 + 1e-6) + 1e-6);
  const pld = new PldAccountant();
  for (const small of [0, 1, 1e3]) {
    const [least, most] = [pld.deltaLower([mechanism], small), pld.deltaUpper([mechanism], small)];
    expect(least).toBeGreaterThanOrEqual(0);
    expect(most).toBeGreaterThanOrEqual(least);
    expect(most).toBeLessThanOrEqual(1);
  }
});

test("with hardly any noise, delta is the probability that the sample was drawn at all", () => {
  const pld = new PldAccountant();
  const drawn = 1 - 0.9 ** 3;
  for (const at of [1, 10, 1000]) {
    expect(pld.deltaUpper([gaussian(1e-3, 0.1, 3)], at)).toBeGreaterThanOrEqual(drawn * (1 - 1e-9));
    expect(pld.deltaLower([gaussian(1e-3, 0.1, 3)], at)).toBeLessThanOrEqual(drawn * (1 + 1e-9));
    expect(pld.deltaUpper([gaussian(0.02, 0.1, 3)], at)).toBeCloseTo(drawn, 3);
  }
});

test.each([
  [gaussian(-1, 0.1, 1), 1e-5, /noise multiplier is -1/],
  [gaussian(1, 1.1, 1), 1e-5, /sampling rate is 1.1/],
  [gaussian(1, 0.1, 1.5), 1e-5, /number of steps is 1.5/],
  [gaussian(Number.NaN, 0.1, 1), 1e-5, /noise multiplier is NaN/],
  [gaussian(1, 0.1, 1), -1, /delta is -1/],
])("%o at delta %d is refused", (mechanism, delta, message) => {
  expect(() => epsilon([mechanism], { delta })).toThrow(message);
});

describe("the search for the noise and the accountant agree", () => {
  const settings = fc.record({
    accountant: fc.constantFrom("pld", "rdp"),
    samplingRate: fc.oneof(
      fc.constantFrom(1, 0.5, 1e-13, 1 - 1e-13),
      fc.double({ min: -6, max: -0.05, noNaN: true }).map((log) => 10 ** log),
    ),
    steps: fc.oneof(fc.constantFrom(1, 1000, 2e8), fc.integer({ min: 1, max: 5000 })),
    delta: fc.double({ min: -12, max: -0.3, noNaN: true }).map((log) => 10 ** log),
  });

  test("what it finds is enough, and a little less is not", () => {
    fc.assert(
      fc.property(settings, fc.double({ min: -6, max: 12, noNaN: true }), (setting, log) => {
        const { accountant, samplingRate, steps, delta } = setting;
        const targetEpsilon = 10 ** log;
        const found = noiseMultiplierFor({ targetEpsilon, ...setting });
        const of = (noise: number) => epsilon([gaussian(noise, samplingRate, steps)], { delta, accountant });
        // However much noise: the accountant says no less.
        if (found === Number.POSITIVE_INFINITY) return of(1e120) > targetEpsilon && of(1e5) > targetEpsilon;
        return of(found) <= targetEpsilon && (found === 0 || of(found * (1 - 5e-4)) > targetEpsilon);
      }),
      { numRuns: 8 },
    );
  });

  test("what the accountant proves is found", () => {
    fc.assert(
      fc.property(settings, fc.double({ min: -6, max: 20, noNaN: true }), (setting, log) => {
        const { accountant, samplingRate, steps, delta } = setting;
        const noise = 10 ** log;
        const proven = epsilon([gaussian(noise, samplingRate, steps)], { delta, accountant });
        // Where it is 0 there is no least noise that proves it.
        const found = noiseMultiplierFor({ targetEpsilon: Math.max(proven, 1e-15), ...setting });
        return found <= noise * (1 + 2e-4);
      }),
      { numRuns: 8 },
    );
  });

  test("an epsilon of 0.01 for 1000 steps with half the data needs a noise of about 7300", () => {
    const asked = { samplingRate: 0.5, steps: 1000, delta: 1e-9 };
    const noise = noiseMultiplierFor({ targetEpsilon: 0.01, ...asked });
    const of = (each: number) => epsilon([gaussian(each, 0.5, 1000)], { delta: 1e-9 });
    expect(of(noise)).toBeLessThanOrEqual(0.01);
    expect(of(0.999 * noise)).toBeGreaterThan(0.01);
    expect(of(20_000)).toBeLessThan(0.00347);
  });

  test("more noise than a grid holds never costs more", () => {
    for (const accountant of ["pld", "rdp"] as const) {
      const of = (noise: number) => epsilon([gaussian(noise, 0.5, 1000)], { delta: 1e-9, accountant });
      const all = Array.from({ length: 15 }, (_, k) => of(10 ** (2 * k + 2)));
      for (const [k, each] of all.slice(1).entries()) expect(each).toBeLessThanOrEqual(all[k] as number);
    }
  });
});

test("no noise is chosen by an estimate, and none is enough for next to no epsilon", () => {
  const wanted = { targetEpsilon: 1, delta: 1e-5, samplingRate: 0.001, steps: 20 };
  const estimate = { ...wanted, accountant: "gdp" } as unknown as typeof wanted;
  expect(() => noiseMultiplierFor(estimate)).toThrow(/"gdp"/);
  for (const accountant of ["pld", "rdp"] as const) {
    const hard = { ...wanted, targetEpsilon: 1e-30, delta: 1e-300, accountant };
    expect(noiseMultiplierFor(hard)).toBe(Number.POSITIVE_INFINITY);
  }
});

test("the noise for an epsilon is just enough, by each accountant that bounds it", () => {
  for (const accountant of ["pld", "rdp"] as const) {
    for (const [targetEpsilon, samplingRate, steps] of [
      [3, 0.05, 300],
      [0.3, 0.001, 100],
      [1, 1, 4],
    ] as const) {
      const found = noiseMultiplierFor({ targetEpsilon, delta: 1e-5, samplingRate, steps, accountant });
      const of = (noise: number) => epsilon([gaussian(noise, samplingRate, steps)], { delta: 1e-5, accountant });
      expect(of(found)).toBeLessThanOrEqual(targetEpsilon);
      expect(of(found * (1 - 3e-4))).toBeGreaterThan(targetEpsilon);
    }
  }
});
