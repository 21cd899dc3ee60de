import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { apportion, countOf, type Digits, loadDigits, split, stratify } from "../../examples/digits/data.js";
import { random } from "../../src/tensor/random.js";

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

describe("apportion", () => {
  it("rounds up the largest remainders", () => {
    expect(apportion([5, 3, 2], 5)).toEqual([3, 1, 1]);
    expect(apportion([10, 10], 4)).toEqual([2, 2]);
    expect(apportion([], 0)).toEqual([]);
    expect(apportion([0, 0], 0)).toEqual([0, 0]);
  });

  it("adds up, and is within 1 of the exact proportion", () => {
    const counts = fc.array(fc.nat(100), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(counts, fc.double({ min: 0, max: 1, noNaN: true }), (own, part) => {
        const all = own.reduce((sum, count) => sum + count, 0);
        const total = Math.floor(part * all);
        const shares = apportion(own, total);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total);
        shares.forEach((share, k) => {
          expect(share).toBeLessThanOrEqual(own[k] ?? 0);
          expect(Math.abs(share - ((own[k] ?? 0) * total) / Math.max(1, all))).toBeLessThan(1);
        });
      }),
    );
  });
});

describe("stratify", () => {
  it("uses every sample once", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { maxLength: 60 }), fc.nat(1000), fc.nat(60), (labels, seed, wanted) => {
        const count = Math.min(wanted, labels.length);
        const { train, test } = stratify(labels, count, random(seed));
        expect(test.length).toBe(count);
        expect(sorted([...train, ...test])).toEqual(labels.map((_, n) => n));
      }),
    );
  });

  it("refuses more than there are", () => {
    expect(() => stratify([0, 1], 3, random(0))).toThrow(RangeError);
  });
});

describe("the real digits", () => {
  let digits: Digits;
  beforeAll(async () => {
    digits = await loadDigits();
  });

  const countLabels = ({ target }: Digits) => {
    const counts = new Array<number>(10).fill(0);
    for (const label of target.data) counts[Number(label)] = (counts[Number(label)] ?? 0) + 1;
    return counts;
  };

  it("are 10,000, of all labels, with pixels from 0 to 1", () => {
    expect(digits.x.dims).toEqual([10_000, 1, 28, 28]);
    expect(digits.target.dims).toEqual([10_000]);
    expect(sorted(countLabels(digits))[0]).toBeGreaterThan(800);
    expect(digits.x.data.every((pixel) => pixel >= 0 && pixel <= 1)).toBe(true);
  });

  it("are split in proportion, mixed, and the same way for the same seed", () => {
    const { train, test } = split(digits, 2000, 1);
    expect([countOf(train), countOf(test)]).toEqual([8000, 2000]);
    const all = countLabels(digits);
    countLabels(test).forEach((count, label) => {
      expect(Math.abs(count - (all[label] ?? 0) / 5)).toBeLessThan(1);
    });
    // A batch of the first few holds all labels.
    expect(new Set(train.target.data.subarray(0, 100)).size).toBe(10);
    expect(split(digits, 2000, 1).test.target).toEqual(test.target);
    expect(split(digits, 2000, 2).test.target).not.toEqual(test.target);
  });

  it("keep picture and label together", () => {
    const { test } = split(digits, 50, 3);
    const place = (pixels: Float32Array) => {
      for (let n = 0; n < 10_000; n++) {
        const own = digits.x.data.subarray(n * 784, (n + 1) * 784);
        if (own.every((pixel, k) => pixel === pixels[k])) return n;
      }
      return -1;
    };
    for (let n = 0; n < 5; n++) {
      const found = place(test.x.data.subarray(n * 784, (n + 1) * 784));
      expect(digits.target.data[found]).toBe(test.target.data[n]);
    }
  });
});
