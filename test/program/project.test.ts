/** want.project: what it computes, that it is the same everywhere, and that it keeps inner products. */
import { describe, expect, it } from "vitest";
import { drawShifts, placedElements } from "../../src/gradients/shifts.js";
import { drawSigns } from "../../src/gradients/signs.js";
import { attribution, losses, type Model, nn, perSample, want } from "../../src/index.js";
import { present } from "../../src/present.js";

const network = nn.sequential(nn.conv1d(2, 4, 3, { groups: 2 }), nn.tanh(), nn.flatten(), nn.linear(16, 3));
const model = nn.model(network, { input: { x: ["N", 2, 6] }, seed: 5 });
const samples = 6;
const data = {
  x: Float32Array.from({ length: samples * 12 }, (_, i) => Math.sin(12.9898 * (i + 1))),
  target: BigInt64Array.from({ length: samples }, (_, i) => BigInt(i % 3)),
};
const loss = losses.crossEntropy();

type Options = Parameters<typeof want.project>[0];

async function project(options: Options, parameters?: string[], of: Model = model) {
  const wants = { projected: want.project(options), gradients: want.gradients(), gram: want.gram() };
  const program = await perSample(of, { loss, want: wants, ...(parameters ? { parameters } : {}) });
  const found = await program.run(data);
  await program.release();
  return found;
}

const row = (data: Float32Array, n: number, size: number) => data.subarray(n * size, (n + 1) * size);

describe("want.project", () => {
  it("gives the sum over parameters of signed elements at their places", async () => {
    // Fewer than the elements of a parameter, and than those of a row; and more; as many as one row has, and two.
    for (const dims of [5, 16, 32, 40, 100]) {
      const { projected, gradients } = await project({ dims, seed: 9 });
      expect(projected.dims).toEqual([samples, dims]);
      for (let n = 0; n < samples; n++) {
        const expected = new Float64Array(dims);
        for (const [name, gradient] of Object.entries(gradients)) {
          const { places, signs } = placedElements(drawShifts(9, name, gradient.dims.slice(1), dims));
          row(gradient.data, n, places.length).forEach((x, i) => {
            const place = places[i] ?? Number.NaN;
            expected[place] = (expected[place] ?? 0) + x * (signs[i] ?? Number.NaN);
          });
        }
        row(projected.data, n, dims).forEach((x, k) => {
          expect(x).toBeCloseTo(expected[k] ?? Number.NaN, 5);
        });
      }
    }
  });

  it("projects a convolution with few positions from its factors, in whichever order these hold the kernel's weights", async () => {
    const convolution = nn.model(nn.sequential(nn.conv2d(6, 12, 3, { bias: false }), nn.flatten()), {
      input: { x: ["N", 6, 4, 4] },
      seed: 2,
    });
    const batch = {
      x: Float32Array.from({ length: samples * 96 }, (_, i) => Math.cos(7.1 * (i + 1))),
      target: data.target,
    };
    // Fewer numbers than a row of the kernel has, and more.
    for (const dims of [32, 108]) {
      const { rows } = await attribution.explain(convolution, { loss, method: attribution.loGra({ dims, seed: 4 }) });
      expect(rows.map(({ approximation }) => approximation)).toEqual(["projection of factors"]);
      for (const unfold of ["gather", "slices", "oneHot"] as const) {
        const wants = { projected: want.project({ dims, seed: 4 }), gradients: want.gradients() };
        const program = await perSample(convolution, { loss, want: wants, strategy: { unfold } });
        const { projected, gradients } = await program.run(batch);
        await program.release();
        const { places, signs } = placedElements(drawShifts(4, "0.weight", [12, 6, 3, 3], dims));
        for (let n = 0; n < samples; n++) {
          const expected = new Float64Array(dims);
          row(present(gradients["0.weight"]).data, n, places.length).forEach((x, i) => {
            const place = places[i] ?? Number.NaN;
            expected[place] = (expected[place] ?? 0) + x * (signs[i] ?? Number.NaN);
          });
          row(projected.data, n, dims).forEach((x, k) => {
            expect(x).toBeCloseTo(expected[k] ?? Number.NaN, 5);
          });
        }
      }
    }
  });

  it("gives by signs the sum over parameters of signs times gradients, over the root of dims", async () => {
    const dims = 5;
    const { projected, gradients } = await project({ dims, seed: 9, by: "signs" });
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

  it("gives by order all numbers of the gradients, and zeros after them", async () => {
    const size = 4 * 3 + 4 + 3 * 16 + 3;
    for (const dims of [size, size + 10]) {
      const { projected, gradients, gram } = await project({ dims, by: "order" });
      expect(projected.dims).toEqual([samples, dims]);
      for (let n = 0; n < samples; n++) {
        const own = Object.values(gradients).flatMap((gradient) => [
          ...row(gradient.data, n, gradient.data.length / samples),
        ]);
        expect(own).toHaveLength(size);
        expect([...row(projected.data, n, dims)]).toEqual([...own, ...Array(dims - size).fill(0)]);
        const square = own.reduce((sum, x) => sum + x * x, 0);
        expect(square).toBeCloseTo(gram.data[n * (samples + 1)] ?? Number.NaN, 4);
      }
    }
    await expect(project({ dims: size - 1, by: "order" })).rejects.toThrow("do not fit into 66 in their order");
  });

  it("draws the same signs for a seed and a parameter, on every machine", () => {
    const signs = (seed: number, name: string) => [...drawSigns(seed, name, [3, 2, 2], 4).columns.data].join(" ");
    expect(signs(1, "weight")).toBe("-1 -1 1 -1 -1 -1 1 1 1 1 -1 1 1 1 1 -1");
    expect(signs(2, "weight")).not.toBe(signs(1, "weight"));
    expect(signs(1, "bias")).not.toBe(signs(1, "weight"));
  });

  it("draws the same signs and shifts for a seed and a parameter, on every machine", () => {
    const drawn = (seed: number, name: string) => {
      const { places, signs } = placedElements(drawShifts(seed, name, [3, 2, 2], 5));
      return [...places].map((place, i) => place * (signs[i] ?? 0)).join(" ");
    };
    expect(drawn(1, "weight")).toBe("2 3 4 0 1 0 1 -2 3 4 2 -3");
    expect(drawn(2, "weight")).not.toBe(drawn(1, "weight"));
    expect(drawn(1, "bias")).not.toBe(drawn(1, "weight"));
  });

  it("lets two elements meet as rarely as it says", () => {
    // [rows, columns, dims]: runs within a matrix, rows that lie in several runs, and sides that are laid over first.
    for (const [rows, columns, dims] of [
      [6, 4, 8],
      [5, 7, 8],
      [3, 20, 8],
      [40, 3, 8],
      [170, 2, 2],
    ] as const) {
      const draws = 600;
      const met = new Float64Array((rows * columns) ** 2);
      for (let seed = 0; seed < draws; seed++) {
        const { places } = placedElements(drawShifts(seed, "w", [rows, columns], dims));
        for (let i = 0; i < places.length; i++)
          for (let j = 0; j < i; j++)
            if (places[i] === places[j]) met[i * places.length + j] = 1 + (met[i * places.length + j] ?? 0);
      }
      const most = rows > dims || columns > dims ? 2 / dims : 1 / dims;
      // Five standard deviations of a share of so many draws.
      expect(Math.max(...met) / draws).toBeLessThan(
        most + 5 * Math.sqrt((most * (1 - Math.min(most, 1))) / draws) + 1e-9,
      );
    }
  });

  it("of several parameters is the sum of those of each", async () => {
    const all = await project({ dims: 8, seed: 1 });
    const names = Object.keys(all.gradients);
    const parts: Float32Array[] = [];
    for (const name of names) parts.push((await project({ dims: 8, seed: 1 }, [name])).projected.data);
    all.projected.data.forEach((x, i) => {
      expect(x).toBeCloseTo(
        parts.reduce((sum, part) => sum + (part[i] ?? Number.NaN), 0),
        5,
      );
    });
  });

  it("keeps inner products by signs without bias, within the bound that it states", async () => {
    const dims = 8192;
    const { projected, gram } = await project({ dims, seed: 3, by: "signs" });
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

  it("keeps inner products without bias, within the bound that it states", async () => {
    const [dims, draws] = [16, 400];
    const exact = await project({ dims, seed: 0 });
    const names = Object.keys(exact.gradients);
    const sums = new Float64Array(samples ** 2);
    const squares = new Float64Array(samples ** 2);
    const shapes = new Map(names.map((name) => [name, exact.gradients[name]?.dims.slice(1) ?? []]));
    for (let seed = 0; seed < draws; seed++) {
      const drawn = names.map(
        (name) => [name, placedElements(drawShifts(seed, name, shapes.get(name) ?? [], dims))] as const,
      );
      const rows = Array.from({ length: samples }, (_, n) => {
        const sum = new Float64Array(dims);
        for (const [name, { places, signs }] of drawn)
          row(exact.gradients[name]?.data ?? new Float32Array(), n, places.length).forEach((x, i) => {
            const place = places[i] ?? 0;
            sum[place] = (sum[place] ?? 0) + x * (signs[i] ?? 0);
          });
        return sum;
      });
      rows.forEach((a, m) => {
        rows.forEach((b, n) => {
          const at = m * samples + n;
          const product = a.reduce((sum, x, k) => sum + x * (b[k] ?? 0), 0);
          sums[at] = (sums[at] ?? 0) + product;
          squares[at] = (squares[at] ?? 0) + (product - (exact.gram.data[at] ?? 0)) ** 2;
        });
      });
    }
    for (let at = 0; at < sums.length; at++) {
      const [m, n] = [Math.floor(at / samples), at % samples];
      const lengths = Math.sqrt((exact.gram.data[m * (samples + 1)] ?? 0) * (exact.gram.data[n * (samples + 1)] ?? 0));
      const deviation = Math.sqrt((squares[at] ?? 0) / draws);
      expect(deviation).toBeLessThan((3.5 * lengths) / Math.sqrt(dims));
      // Four standard errors.
      expect(Math.abs((sums[at] ?? 0) / draws - (exact.gram.data[at] ?? 0))).toBeLessThan(
        (4 * deviation) / Math.sqrt(draws),
      );
    }
  });

  it("takes whole numbers", () => {
    expect(() => want.project({ dims: 0 })).toThrow("dims is 0; it must be a whole number from 1 up");
    expect(() => want.project({ dims: 2, by: "sings" as "signs" })).toThrow(
      'by "shifts", by "signs" or by "order", not "sings"',
    );
    expect(() => want.project({ dims: 2, seed: -1 })).toThrow("A seed must be a whole number from 0 to 2^32 - 1");
  });
});
