/** Measured by `npm run calibrate`; see `Prices`. */
import type { Prices } from "../../ops/prices.js";

export const prices: Prices = {
  multiplyAdd: 0.023,
  float: 0.16,
  chosen: 0.78,
  squared: 0.97,
  transposed: 1.3,
  gatheredRow: 9.1,
  gatheredFloat: 0.22,
  slicedFloat: 0.044,
  scattered: 5.9,
  oneHotFloat: 0.6,
  folded: 0.55,
  repacked: 0.4,
  shuffledWeight: 2.6,
  notedMaximum: 2.2,
  node: 420,
};
