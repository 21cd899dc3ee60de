/** Numbers that are not finite are found wherever they stand. */
import { expect, it } from "vitest";
import { areFinite, sumOfMagnitudes } from "../../src/tensor/finite.js";

it.each([Float32Array, Float64Array])("one number that is not finite is found at every place (%o)", (Numbers) => {
  for (let length = 0; length < 22; length++) {
    const numbers = new Numbers(length).fill(-1e38);
    expect(areFinite(numbers), `${length} finite numbers`).toBe(true);
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (let place = 0; place < length; place++)
        expect(areFinite(numbers.with(place, wrong)), `${wrong} at ${place} of ${length}`).toBe(false);
  }
});

it("magnitudes are added up for every length, and show a number that is not finite", () => {
  for (let length = 0; length < 10; length++) {
    const numbers = Float32Array.from({ length }, (_, k) => (k % 2 === 0 ? k + 1 : -k - 1));
    expect(sumOfMagnitudes(numbers)).toBe((length * (length + 1)) / 2);
    for (const wrong of [Number.NaN, Number.NEGATIVE_INFINITY])
      for (let place = 0; place < length; place++)
        expect(Number.isFinite(sumOfMagnitudes(numbers.with(place, wrong)))).toBe(false);
  }
});
