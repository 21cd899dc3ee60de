import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../../src/tensor/random.js";
import { tensor } from "../../src/tensor/tensor.js";
import { miniBatches, permutation, pick } from "../../src/train/index.js";

/** Sample k is [k, k + 0.5], its target k. */
function dataOf(samples: number) {
  const x = Float32Array.from({ length: samples * 2 }, (_, i) => i / 2);
  const target = BigInt64Array.from({ length: samples }, (_, i) => BigInt(i));
  return { x: tensor("float32", [samples, 2], x), target: tensor("int64", [samples], target) };
}

describe("miniBatches", () => {
  it("gives every sample once, and input and target together", () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer({ min: 1, max: 50 }), fc.option(fc.nat(1000)), (samples, size, seed) => {
        const batches = [...miniBatches(dataOf(samples), { size, ...(seed === null ? {} : { shuffle: seed }) })];
        expect(batches.length).toBe(Math.ceil(samples / size));
        const targets = batches.flatMap(({ x, target }) => {
          expect(x.dims).toEqual([target.data.length, 2]);
          expect([...x.data]).toEqual([...target.data].flatMap((k) => [Number(k), Number(k) + 0.5]));
          return [...target.data].map(Number);
        });
        const inOrder = Array.from({ length: samples }, (_, i) => i);
        expect([...targets].sort((a, b) => a - b)).toEqual(inOrder);
        if (seed === null) expect(targets).toEqual(inOrder);
      }),
    );
  });

  it("repeats for a seed, and goes on for a source", () => {
    const order = (shuffle: Parameters<typeof miniBatches>[1]["shuffle"]) =>
      [...miniBatches(dataOf(50), { size: 50, ...(shuffle === undefined ? {} : { shuffle }) })].flatMap(
        ({ target }) => [...target.data],
      );
    expect(order(3)).toEqual(order(3));
    expect(order(3)).not.toEqual(order(4));
    const source = random(3);
    expect(order(source)).toEqual(order(3));
    expect(order(source)).not.toEqual(order(3));
  });

  it("refuses what does not fit", () => {
    const { x } = dataOf(3);
    expect(() => [...miniBatches({ x }, { size: 0 })]).toThrow("not 0");
    expect(() => [...miniBatches({ x, y: dataOf(4).x }, { size: 2 })]).toThrow('"y" holds 4 samples, but "x" holds 3');
    expect([...miniBatches({}, { size: 2 })]).toEqual([]);
  });
});

it("permutation puts every number everywhere about as often", () => {
  const source = random(1);
  const counts = Array.from({ length: 4 }, () => [0, 0, 0, 0]);
  for (let round = 0; round < 4000; round++) {
    permutation(4, source).forEach((value, place) => {
      const row = counts[place] ?? [];
      row[value] = (row[value] ?? 0) + 1;
    });
  }
  for (const count of counts.flat()) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

it("pick copies samples and refuses those that are not there", () => {
  const { x } = dataOf(3);
  expect(pick(x, [2, 0, 2])).toEqual(tensor("float32", [3, 2], Float32Array.of(2, 2.5, 0, 0.5, 2, 2.5)));
  expect(() => pick(x, [3])).toThrow(RangeError);
  expect(() => pick(x, [-1])).toThrow(RangeError);
});
