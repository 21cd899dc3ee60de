/** Estimates from random signs for each sample: without bias, the same everywhere for the same seed, others for another. */
import { describe, expect, it } from "vitest";
import { kroneckerCurvature, losses, nn, perSample, type Tensor, want } from "../../src/index.js";
import { expectNear, inFloat64 } from "./support.js";

const samples = 5;
const waves = (size: number) => Float32Array.from({ length: size }, (_, k) => Math.sin(12.9898 * (k + 1)));
const sequence = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 3)), {
  input: { x: ["N", 2, 3] },
  seed: 1,
});
const networks = [
  {
    name: "an image network",
    model: nn.model(nn.sequential(nn.conv2d(1, 2, 3), nn.tanh(), nn.flatten(), nn.linear(8, 4)), {
      input: { x: ["N", 1, 4, 4] },
      seed: 1,
    }),
    loss: losses.crossEntropy(),
    data: { x: tensorOf([samples, 1, 4, 4]), target: labels([samples], 4) },
  },
  {
    name: "a sequence",
    model: sequence,
    loss: losses.crossEntropy(),
    data: { x: tensorOf([samples, 2, 3]), target: labels([samples, 2], 3) },
  },
  {
    name: "a regression",
    model: sequence,
    loss: losses.mse(),
    data: { x: tensorOf([samples, 2, 3]), target: tensorOf([samples, 2, 3]) },
  },
] as const;

function tensorOf(dims: readonly number[]): Tensor<"float32"> {
  return { dtype: "float32", dims, data: waves(dims.reduce((a, b) => a * b, 1)) };
}

function labels(dims: readonly number[], classes: number): Tensor<"int64"> {
  const size = dims.reduce((a, b) => a * b, 1);
  return { dtype: "int64", dims, data: BigInt64Array.from({ length: size }, (_, k) => BigInt((5 * k + 2) % classes)) };
}

const vectorFor = (model: (typeof networks)[number]["model"]) =>
  Object.fromEntries(Object.entries(model.parameters).map(([name, { dims }]) => [name, tensorOf(dims)]));

describe.each(networks)("$name", ({ model, loss, data }) => {
  const target = { dtype: data.target.dtype, shape: ["N", ...data.target.dims.slice(1)] } as const;
  const vector = vectorFor(model);

  it("many probes are near the exact diagonal and product, and few are as far as they say", async () => {
    const probes = 1500;
    const program = await perSample(model, {
      loss,
      target,
      want: {
        diagonal: want.ggnDiagonal(),
        product: want.ggnProduct({ vector }),
        drawn: want.ggnDiagonal({ probes, seed: 3 }),
        fisher: want.fisherProduct({ vector, labels: "drawn", probes, seed: 4 }),
      },
    });
    const found = await program.run(data);
    for (const name of program.parameters) {
      const exact = found.diagonal[name]?.data ?? [];
      // The variance of one probe is at most twice the square of the whole; so is that of the product, about.
      const error = 6 * Math.sqrt(2 / probes);
      expectNear(found.drawn[name]?.data, exact, error, `${name} of the diagonal`);
      expectNear(found.fisher[name]?.data, found.product[name]?.data ?? [], 2 * error, `${name} of the product`);
    }
    await program.release();
  });

  it("one seed gives the same numbers in every runtime, another seed others", async () => {
    const wants = (seed: number) => ({
      diagonal: want.ggnDiagonal({ probes: 3, seed }),
      product: want.fisherProduct({ vector, labels: "drawn", seed }),
      mean: want.fisherProduct({ vector, labels: "drawn", probes: 40, seed, give: want.mean() }),
    });
    const program = await perSample(model, { loss, target, want: wants(7) });
    const found = await program.run(data);
    const reference = inFloat64(model, { loss, target }, wants(7), data);
    const other = inFloat64(model, { loss, target }, wants(8), data);
    for (const want of ["diagonal", "product", "mean"] as const)
      for (const name of program.parameters) {
        const own = [...(found[want][name]?.data ?? [])];
        expectNear(own, reference.get(`${want}/${name}`)?.data ?? [], 1e-4, name);
        const most = Math.max(...own.map(Math.abs));
        const apart = own.map((x, k) => Math.abs(x - (other.get(`${want}/${name}`)?.data[k] ?? 0)));
        expect(Math.max(...apart)).toBeGreaterThan(1e-3 * most);
      }
    await program.release();
  });

  it("the Kronecker factors of many probes are near the exact ones", async () => {
    const program = await perSample(model, {
      loss,
      target,
      want: {
        exact: want.kroneckerFactors({ kind: "type2" }),
        drawn: want.kroneckerFactors({ kind: "drawn", probes: 1500, seed: 5 }),
      },
    });
    const { exact, drawn } = await program.run(data);
    for (const [name, { A, B }] of Object.entries(exact.layers)) {
      expectNear(drawn.layers[name]?.A.data, A.data, 1e-6, name);
      expectNear(drawn.layers[name]?.B.data, B.data, 0.15, name);
    }
    const ekfac = await kroneckerCurvature(model, data, { loss, target, kind: "drawn", probes: 2, seed: 1 });
    expect(ekfac.blocks.every(({ eigenvalues }) => eigenvalues.data.some((value) => value > 0))).toBe(true);
    await program.release();
  });
});

it("signs differ between samples, elements and probes", async () => {
  // Of a sum of squares with nothing before it, the gradient of a probe is its signs.
  const model = nn.model(nn.linear(1, 6), { seed: 1 });
  const many = 400;
  const data = { x: new Float32Array(many).fill(1), target: new Float32Array(6 * many) };
  const bias = { bias: { dtype: "float32" as const, dims: [6], data: Float32Array.of(1, 0, 0, 0, 0, 0) } };
  const signsOf = async (seed: number) => {
    const product = want.fisherProduct({ vector: bias, labels: "drawn", seed });
    const program = await perSample(model, { loss: "mse", parameters: ["bias"], want: { product } });
    return [...((await program.run(data)).product.bias?.data ?? [])].map(Math.sign);
  };
  const [first, second] = [await signsOf(0), await signsOf(1)];
  const correlation = (of: (n: number, e: number) => number) => {
    let sum = 0;
    for (let n = 0; n + 1 < many; n++) for (let e = 1; e < 5; e++) sum += of(n, e);
    return Math.abs(sum) / Math.sqrt(4 * (many - 1));
  };
  const at = (all: readonly number[], n: number, e: number) => all[6 * n + e] ?? Number.NaN;
  // Each is a sum of independent signs over its standard deviation.
  expect(correlation((n, e) => at(first, n, e))).toBeLessThan(4);
  expect(correlation((n, e) => at(first, n, e) * at(first, n + 1, e))).toBeLessThan(4);
  expect(correlation((n, e) => at(first, n, e) * at(first, n, e + 1))).toBeLessThan(4);
  expect(correlation((n, e) => at(first, n, e) * at(second, n, e))).toBeLessThan(4);
});

it("what cannot be drawn is said", async () => {
  expect(() => want.ggnDiagonal({ probes: 0 })).toThrow(/probes must be a whole number from 1 up/);
  expect(() => want.fisherProduct({ labels: "model" as never })).toThrow(/"true" or "drawn"/);
  expect(() => want.fisherProduct({ probes: 3 })).toThrow(/labels is "drawn"/);
  expect(() => want.kroneckerFactors({ kind: "type2", seed: 1 })).toThrow(/leave them out/);
  expect(() => want.kroneckerFactors({ kind: "drawn", seed: -1 })).toThrow(/seed must be a whole number/);
  const loss = losses.custom((y, t) => y.sub(t).square().mean([1]));
  const own = perSample(nn.model(nn.linear(2, 2), { seed: 1 }), { loss, want: { d: want.ggnDiagonal({ probes: 1 }) } });
  await expect(own).rejects.toThrow(/square root/);
});
