/** want.project: what it computes, that it is the same everywhere, and that it keeps inner products. */
import { describe, expect, it } from "vitest";
import { drawSigns } from "../../src/gradients/signs.js";
import { losses, type Model, nn, perSample, want } from "../../src/index.js";

const network = nn.sequential(nn.conv1d(2, 4, 3, { groups: 2 }), nn.tanh(), nn.flatten(), nn.linear(16, 3));
const model = nn.model(network, { input: { x: ["N", 2, 6] }, seed: 5 });
const samples = 6;
const data = {
  x: Float32Array.from({ length: samples * 12 }, (_, i) => Math.sin(12.9898 * (i + 1))),
  target: BigInt64Array.from({ length: samples }, (_, i) => BigInt(i % 3)),
};
const loss = losses.crossEntropy();

async function project(dims: number, seed: number, parameters?: string[], of: Model = model) {
  const wants = { projected: want.project({ dims, seed }), gradients: want.gradients(), gram: want.gram() };
  const program = await perSample(of, { loss, want: wants, ...(parameters ? { parameters } : {}) });
  const found = await program.run(data);
  await program.release();
  return found;
}

const row = (data: Float32Array, n: number, size: number) => data.subarray(n * size, (n + 1) * size);

describe("want.project", () => {
  it("gives the sum over parameters of signs times gradients, over the root of dims", async () => {
    const dims = 5;
    const { projected, gradients } = await project(dims, 9);
    expect(projected.dims).toEqual([samples, dims]);
    for (let n = 0; n < samples; n++) {
      const expected = new Float64Array(dims);
      for (const [name, gradient] of Object.entries(gradients)) {
        const shape = gradient.dims.slice(1);
        const { rows, columns } = drawSigns(9, name, shape, dims);
        const own = row(gradient.data, n, rows.size * columns.size);
        own.forEach((x, i) => {
          const [r, c] = [Math.floor(i / columns.size), i % columns.size];
          for (let k = 0; k < dims; k++)
            expected[k] = (expected[k] ?? 0) + x * (rows.data[r * dims + k] ?? 0) * (columns.data[c * dims + k] ?? 0);
        });
      }
      row(projected.data, n, dims).forEach((x, k) => {
        expect(x).toBeCloseTo((expected[k] ?? Number.NaN) / Math.sqrt(dims), 5);
      });
    }
  });

  it("draws the same signs for a seed and a parameter, on every machine", () => {
    const signs = (seed: number, name: string) => [...drawSigns(seed, name, [3, 2, 2], 4).columns.data].join(" ");
    expect(signs(1, "weight")).toBe("-1 -1 1 -1 -1 -1 1 1 1 1 -1 1 1 1 1 -1");
    expect(signs(2, "weight")).not.toBe(signs(1, "weight"));
    expect(signs(1, "bias")).not.toBe(signs(1, "weight"));
  });

  it("of several parameters is the sum of those of each", async () => {
    const all = await project(8, 1);
    const names = Object.keys(all.gradients);
    const parts: Float32Array[] = [];
    for (const name of names) parts.push((await project(8, 1, [name])).projected.data);
    all.projected.data.forEach((x, i) => {
      expect(x).toBeCloseTo(
        parts.reduce((sum, part) => sum + (part[i] ?? Number.NaN), 0),
        5,
      );
    });
  });

  it("keeps inner products without bias, within the bound that it states", async () => {
    const dims = 8192;
    const { projected, gram } = await project(dims, 3);
    for (let a = 0; a < samples; a++) {
      for (let b = 0; b < samples; b++) {
        const [g, h] = [row(projected.data, a, dims), row(projected.data, b, dims)];
        // Each coordinate is an estimate of its own, independent of the others.
        const estimates = Array.from(g, (x, k) => dims * x * (h[k] ?? 0));
        const mean = estimates.reduce((sum, x) => sum + x, 0) / dims;
        const exact = gram.data[a * samples + b] ?? Number.NaN;
        const lengths = Math.sqrt((gram.data[a * samples + a] ?? 0) * (gram.data[b * samples + b] ?? 0));
        const variance = estimates.reduce((sum, x) => sum + (x - mean) ** 2, 0) / dims;
        expect(Math.sqrt(variance) / lengths).toBeLessThan(3);
        // Four standard deviations of what was measured, which is within the bound.
        expect(Math.abs(mean - exact)).toBeLessThan(4 * Math.sqrt(variance / dims) + 1e-5 * lengths);
      }
    }
  });

  it("takes whole numbers", () => {
    expect(() => want.project({ dims: 0 })).toThrow("dims is 0; it must be a whole number from 1 up");
    expect(() => want.project({ dims: 2, seed: -1 })).toThrow("A seed is a whole number from 0 to 2^32 - 1");
  });
});
