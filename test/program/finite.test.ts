/** Numbers that are not finite are found wherever they stand. */
import { expect, it } from "vitest";
import { areFinite } from "../../src/tensor/finite.js";

it.each([Float32Array, Float64Array])("one number that is not finite is found at every place (%o)", (Numbers) => {
  for (let length = 0; length < 14; length++) {
    const numbers = new Numbers(length).fill(-1e38);
    expect(areFinite(numbers), `${length} finite numbers`).toBe(true);
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (let place = 0; place < length; place++)
        expect(areFinite(numbers.with(place, wrong)), `${wrong} at ${place} of ${length}`).toBe(false);
  }
});
