/** Estimates from random signs: unbiased, the same for the same seed, with the error that is stated. */
import { expect, it } from "vitest";
import { losses, nn, type Tensor, want } from "../../src/index.js";
import { inFloat64 } from "./support.js";

const model = nn.model(nn.sequential(nn.linear(2, 3), nn.tanh(), nn.linear(3, 2)), { seed: 3 });
const data: Record<string, Tensor> = {
  x: { dtype: "float32", dims: [2, 2], data: Float32Array.of(0.3, -1.2, 0.8, 0.5) },
  target: { dtype: "int64", dims: [2], data: BigInt64Array.of(0n, 1n) },
};
const options = { loss: losses.crossEntropy() };

/** The Hessians, `[2][17][17]`, by a product with each unit vector. */
function hessians(): number[][][] {
  const names = Object.entries(model.parameters);
  const units = names.flatMap(([name, { dims, data: own }]) =>
    Array.from(own, (_, k) => ({
      [name]: { dtype: "float32" as const, dims, data: own.map((_x, i) => (i === k ? 1 : 0)) },
    })),
  );
  const wants = Object.fromEntries(units.map((vector, k) => [`u${k}`, want.hvp({ vector })]));
  const found = inFloat64(model, options, wants, data);
  return [0, 1].map((n) =>
    units.map((_, k) =>
      names.flatMap(([name, { data: own }]) => [
        ...(found.get(`u${k}/${name}`)?.data.subarray(n * own.length, (n + 1) * own.length) ?? []),
      ]),
    ),
  );
}

it("the diagonal and the trace lie within the stated error", () => {
  const probes = 400;
  const wants = {
    exact: want.hessianDiagonal(),
    estimate: want.hessianDiagonal({ probes, seed: 5 }),
    trace: want.trace({ probes, seed: 5 }),
  };
  const found = inFloat64(model, options, wants, data);
  const all = hessians();
  const totals = [0, 0];
  let start = 0;
  for (const [name, { data: own }] of Object.entries(model.parameters)) {
    for (let n = 0; n < 2; n++) {
      for (let k = 0; k < own.length; k++) {
        const row = all[n]?.[start + k] ?? [];
        const beside = row.reduce((sum, x, j) => (j === start + k ? sum : sum + x * x), 0);
        const [exact, estimate] = ["exact", "estimate"].map(
          (which) => found.get(`${which}/${name}`)?.data[n * own.length + k] ?? Number.NaN,
        );
        expect(exact).toBeCloseTo(row[start + k] ?? Number.NaN, 12);
        expect(Math.abs((estimate ?? Number.NaN) - (exact ?? 0))).toBeLessThan(5 * Math.sqrt(beside / probes) + 1e-12);
        totals[n] = (totals[n] ?? 0) + (estimate ?? Number.NaN);
      }
    }
    start += own.length;
  }
  totals.forEach((total, n) => {
    expect(found.get("trace/total")?.data[n]).toBeCloseTo(total, 10);
  });
});

it("a seed gives the same vectors, and another others", () => {
  const of = (seed: number) => inFloat64(model, options, { t: want.trace({ probes: 3, seed }) }, data).get("t/total");
  expect(of(1)).toEqual(of(1));
  expect(of(2)).not.toEqual(of(1));
  expect(() => want.hessianDiagonal({ probes: 0 })).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => want.trace({ of: "ggn", probes: 3 })).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT" }),
  );
});
