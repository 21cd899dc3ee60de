/** Renyi's divergence: known values, an integral computed another way, and what composition demands. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { epsilon, renyiDivergence } from "../../src/privacy/index.js";
import "../support/seed.js";
import { gaussian } from "./support.js";

const orders = [
  ...Array.from({ length: 99 }, (_, k) => 1 + (k + 1) / 10),
  ...Array.from({ length: 52 }, (_, k) => 12 + k),
];

test.each([
  [gaussian(1.5, 0.04, 2250), 1e-5, 7.32911117],
  [gaussian(1.3, 150 / 60000, 6000), 1e-5, 0.7242234],
  [gaussian(1, 0.001, 30000), 1e-7, 1.41549885],
])("epsilon of %o at delta %d is that of Opacus and TensorFlow Privacy", (mechanism, delta, expected) => {
  expect(epsilon([mechanism], { delta, accountant: "rdp", orders })).toBeCloseTo(expected, 8);
});

test.each([
  [1.5, 6.50070897e-4],
  [2.5, 1.08541806e-3],
  [5, 2.18075656e-3],
])("the divergence of order %d after 50 steps is %d", (order, expected) => {
  expect(renyiDivergence([gaussian(2.5, 0.01, 50)], order) / expected).toBeCloseTo(1, 8);
});

// By mpmath 1.4.1 with 40 digits: the integral of N(z; 0, s^2) (1 - q + q e^((2 z - 1) / (2 s^2)))^order.
test.each([
  [0.5, 1, 1.1, 0.156130475685493],
  [0.5, 0.3, 1.01, 2.270714293088191],
  [0.5, 5, 1.5, 0.00757506217680634],
  [0.01, 0.5, 3.7, 1.1111617172268922],
  [0.2, 1.2, 20.3, 5.35578899053178],
  [0.001, 0.8, 2.5, 4.73319031184834e-6],
  [0.9, 2, 7.5, 0.841409571886184],
  [1e-4, 0.4, 9.9, 20.69228992330739],
])("at q = %d, s = %d and order %d the divergence is the integral's", (q, s, order, expected) => {
  expect(renyiDivergence([gaussian(s, q, 1)], order) / expected).toBeCloseTo(1, 10);
});

test("without subsampling it is order / (2 s^2), and composition adds up", () => {
  const arbitrary = [
    fc.double({ min: 0.1, max: 50, noNaN: true }),
    fc.double({ min: 1.01, max: 500, noNaN: true }),
  ] as const;
  fc.assert(
    fc.property(...arbitrary, fc.nat(1000), fc.nat(1000), (s, order, k, m) => {
      const both = renyiDivergence([gaussian(s, 1, k), gaussian(s, 1, m)], order);
      expect(both).toBeCloseTo(((k + m) * order) / (2 * s * s), 6);
    }),
  );
});

test("it grows with the order, whole and fractional, and is a number or infinite at every extreme", () => {
  const log = (least: number, most: number) =>
    fc.double({ min: Math.log(least), max: Math.log(most), noNaN: true }).map(Math.exp);
  fc.assert(
    fc.property(log(1e-9, 1), log(0.01, 1e4), log(1e-3, 1e3), log(1.001, 3), (q, s, excess, factor) => {
      const mechanism = gaussian(s, Math.min(1, q), 1);
      const near = renyiDivergence([mechanism], 1 + excess);
      const far = renyiDivergence([mechanism], 1 + excess * factor);
      expect(near).toBeGreaterThanOrEqual(0);
      // The moment is one plus something: what is lost in that is at most a rounding of one.
      expect(far).toBeGreaterThanOrEqual(near * (1 - 1e-9) - 1e-12 / excess);
    }),
  );
  expect(renyiDivergence([gaussian(0, 0.1, 1)], 2)).toBe(Number.POSITIVE_INFINITY);
  expect(renyiDivergence([gaussian(0, 0, 1)], 2)).toBe(0);
  expect(renyiDivergence([gaussian(1, 0.1, 0)], 2)).toBe(0);
  expect(epsilon([], { delta: 0, accountant: "rdp" })).toBe(0);
});
