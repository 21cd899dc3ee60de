/** Gradients that float32 holds but whose squares it does not: docs/precision.md says what becomes of them. */
import { expect, it } from "vitest";
import { nn, perSample, want } from "../../src/index.js";

const size = 64;

/** The loss is linear, so a sample's gradient is its input. */
const linear = nn.trace({ a: ["N", size] }, { weight: nn.ones([size]) }, ({ a }, { weight }) => ({
  loss: a.mul(weight).sum([1]),
}));

const magnitudes = [1e-10, 1e-15, 1e-18, 1e-21, 1e-23, 1e-30];

const rows = {
  dtype: "float32",
  dims: [magnitudes.length, size],
  data: Float32Array.from({ length: magnitudes.length * size }, (_, k) => magnitudes[Math.floor(k / size)] as number),
} as const;

async function computed() {
  const wanted = {
    norms: want.norms(),
    gradients: want.gradients(),
    clipped: want.clippedSum({ maxNorm: 1e-15, strict: true }),
  };
  const program = await perSample(linear, { loss: "output", want: wanted });
  const results = await program.run({ a: rows });
  await program.release();
  return results;
}

it("a norm is accurate down to 1e-18, and 0 where all squares underflow", async () => {
  const { norms } = await computed();
  const relative = [...norms.total.data].map((norm, n) => norm / ((magnitudes[n] as number) * Math.sqrt(size)));
  for (const [n, ratio] of relative.entries()) {
    if ((magnitudes[n] as number) >= 1e-18) expect(Math.abs(ratio - 1)).toBeLessThan(1e-6);
    else if ((magnitudes[n] as number) <= 1e-23) expect(ratio).toBe(0);
    else expect(Math.abs(ratio - 1)).toBeLessThan(1e-2);
  }
});

it("gradients and sums keep what norms lose, and strict clipping stays within the smallest maxNorm", async () => {
  const { gradients, clipped } = await computed();
  expect(gradients.weight?.data).toEqual(rows.data);
  // Two samples are clipped to 1e-15 each; the third has 8e-18, and the others add less than a millionth of that.
  const [element = Number.NaN] = clipped.sum.weight?.data ?? [];
  const most = (2e-15 + 8e-18) / Math.sqrt(size);
  expect(element).toBeLessThanOrEqual(most * (1 + 2 ** -15));
  expect(element).toBeGreaterThan(most * (1 - 1e-3));
});
