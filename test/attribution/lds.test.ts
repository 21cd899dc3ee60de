/** The linear datamodeling score is the mean rank correlation that its definition says, and subsets are what they are drawn as. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attribution, type Tensor } from "../../src/index.js";
import { nth } from "../../src/present.js";

const { linearDatamodelingScore, subsets } = attribution;

const table = (dims: readonly number[], data: readonly number[]): Tensor<"float64"> => ({
  dtype: "float64",
  dims,
  data: Float64Array.from(data),
});

/** Ranks by counting what is smaller, and half of what is equal. */
const rankOf = (x: number, all: readonly number[]) =>
  all.filter((y) => y < x).length + (all.filter((y) => y === x).length - 1) / 2;

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (all: readonly number[]) => all.reduce((sum, x) => sum + x, 0) / all.length;
  const [x, y] = [mean(a), mean(b)];
  const sum = (f: (k: number) => number) => a.reduce((total, _, k) => total + f(k), 0);
  const [dx, dy] = [(k: number) => nth(a, k) - x, (k: number) => nth(b, k) - y];
  return sum((k) => dx(k) * dy(k)) / Math.sqrt(sum((k) => dx(k) ** 2) * sum((k) => dy(k) ** 2));
}

describe("linearDatamodelingScore", () => {
  it("is Spearman's correlation of sums with minus the mean losses", () => {
    const numbers = (length: number) =>
      fc.array(fc.integer({ min: -9, max: 9 }), { minLength: length, maxLength: length });
    const sizes = fc.record({
      q: fc.integer({ min: 1, max: 3 }),
      n: fc.integer({ min: 2, max: 6 }),
      s: fc.integer({ min: 3, max: 8 }),
      r: fc.integer({ min: 1, max: 3 }),
    });
    const drawn = sizes.chain(({ q, n, s, r }) =>
      fc.tuple(fc.constant({ q, n, s, r }), numbers(q * n), numbers(s * n), numbers(s * r * q)),
    );
    fc.assert(
      fc.property(drawn, ([{ q, n, s, r }, scores, masks, losses]) => {
        const all = [...Array(s).keys()];
        const found = linearDatamodelingScore(table([q, n], scores), table([s, n], masks), table([s, r, q], losses));
        const wanted = [...Array(q).keys()].map((query) => {
          const sums = all.map((each) =>
            [...Array(n).keys()].reduce((sum, k) => sum + nth(masks, each * n + k) * nth(scores, query * n + k), 0),
          );
          const results = all.map((each) =>
            [...Array(r).keys()].reduce((sum, k) => sum - nth(losses, (each * r + k) * q + query), 0),
          );
          return pearson(
            sums.map((x) => rankOf(x, sums)),
            results.map((x) => rankOf(x, results)),
          );
        });
        for (const [k, each] of wanted.entries()) {
          if (Number.isNaN(each)) expect(found.queries[k]).toBeNaN();
          else expect(found.queries[k]).toBeCloseTo(each, 10);
        }
      }),
    );
  });

  it("is 1 for scores whose sums the losses are", () => {
    const masks = subsets({ samples: 12, count: 20, seed: 3 });
    const own = Array.from({ length: 12 }, (_, n) => Math.sin(n * n));
    const losses = [...Array(20).keys()].map((s) =>
      own.reduce((sum, each, n) => sum - each * Number(masks.data[s * 12 + n]), 0),
    );
    const { score, error } = linearDatamodelingScore(table([1, 12], own), masks, table([20, 1], losses));
    expect(score).toBeCloseTo(1, 12);
    expect(error).toBeCloseTo(0, 12);
  });

  it("says which of what it is given does not fit", () => {
    const scores = table([2, 3], [1, 2, 3, 4, 5, 6]);
    const masks = subsets({ samples: 3, count: 4 });
    const losses = table([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
    expect(() => linearDatamodelingScore(scores, subsets({ samples: 4 }), losses)).toThrow(/give \[subsets, 3\]/);
    expect(() => linearDatamodelingScore(scores, masks, table([2, 4], [...losses.data]))).toThrow(/give \[4, 2\]/);
    expect(() => linearDatamodelingScore(table([6], [...scores.data]), masks, losses)).toThrow(
      /give \[queries, samples\]/,
    );
  });
});

describe("subsets", () => {
  it("have all the same size, and every sample is in some and out of others", () => {
    const { dims, data } = subsets({ samples: 50, count: 40, seed: 1 });
    expect(dims).toEqual([40, 50]);
    const sums = [...Array(40).keys()].map((s) => data.subarray(s * 50, (s + 1) * 50).reduce((sum, x) => sum + x, 0));
    expect(new Set(sums)).toEqual(new Set([25]));
    const counts = [...Array(50).keys()].map((n) =>
      [...Array(40).keys()].reduce((sum, s) => sum + (data[s * 50 + n] ?? 0), 0),
    );
    expect(Math.min(...counts)).toBeGreaterThan(5);
    expect(Math.max(...counts)).toBeLessThan(35);
  });

  it("are refused outside of their range", () => {
    expect(() => subsets({ samples: 0 })).toThrow(/samples/);
    expect(() => subsets({ samples: 3, fraction: 1 })).toThrow(/fraction/);
  });
});
