/** Eigenvalues, systems and traces of a whole data set agree with dense algebra of PyTorch's exact matrices. */
import { describe, expect, it } from "vitest";
import { curvature, nn, type Tensor } from "../../src/index.js";
import { loadCase } from "../curvature/load-case.js";
import { asVectors, below, expectNear, numbers } from "../curvature/support.js";

async function load(name: string, of: "hessian" | "ggn" | "fisher") {
  const { settings, tensors, expected, model, train, options } = await loadCase(name);
  const matrix = await curvature(model, train, { ...options, of });
  return { settings, expected, matrix, vector: asVectors(below(tensors, "vector/")) };
}

describe.each(["mlp_gelu", "cnn_small", "tied_language_model", "multilabel"])("%s", (name) => {
  it.each(["hessian", "ggn", "fisher"] as const)("extreme eigenvalues of the %s", async (of) => {
    const { matrix, expected } = await load(name, of);
    const all = numbers(expected.get(`mean_${of}_eigenvalues`));
    const top = await matrix.topEigenvalues(3);
    expect(top.converged).toBe(true);
    expectNear(top.values, all.slice(-3).reverse(), 2e-4, "largest", all.at(-1));
    if (of === "hessian") {
      const bottom = await matrix.topEigenvalues(1, { end: "smallest" });
      expectNear(bottom.values, all.slice(0, 1), 2e-4, "smallest", all.at(-1));
      const bySize = [...all].sort((a, b) => Math.abs(b) - Math.abs(a));
      const either = await matrix.topEigenvalues(6, { end: "either" });
      expectNear(either.values, bySize.slice(0, 6), 2e-4, "largest in size", all.at(-1));
    }
    const [first = {}] = top.vectors;
    const product = await matrix.times(first);
    for (const [part, { data }] of Object.entries(first))
      expectNear(
        product[part]?.data,
        data.map((x) => x * (top.values[0] ?? 0)),
        1e-3,
        part,
        top.values[0],
      );
    await matrix.release();
  });

  it.each(["hessian", "ggn", "fisher"] as const)("damped systems of the %s, and its trace", async (of) => {
    const { matrix, expected, vector, settings } = await load(name, of);
    const { solution, ...said } = await matrix.solve(vector, {
      damping: settings.damping[of] ?? Number.NaN,
      maxIterations: 400,
    });
    expect(said).toMatchObject({ converged: true, indefinite: false });
    for (const [part, own] of below(expected, `ihvp/${of}/`))
      expectNear(solution[part]?.data, numbers(own), 1e-3, `${of} ${part}`);
    const eigenvalues = numbers(expected.get(`mean_${of}_eigenvalues`));
    const trace = eigenvalues.reduce((sum, each) => sum + each, 0);
    expect(Math.abs((await matrix.trace()) - trace)).toBeLessThan(2e-4 * Math.max(...eigenvalues.map(Math.abs)));
    await matrix.release();
  });
});

describe.each(["mlp_gelu", "cnn_small", "transformer_classifier"])("%s", (name) => {
  it.each(["hessian", "ggn", "fisher"] as const)("preconditioned systems of the %s", async (of) => {
    const { matrix, expected, vector, settings } = await load(name, of);
    const damping = settings.damping[of] ?? Number.NaN;
    for (const preconditioner of ["diagonal", "kronecker"] as const) {
      const { solution, ...said } = await matrix.solve(vector, { damping, maxIterations: 400, preconditioner });
      expect(said).toMatchObject({ converged: true, indefinite: false });
      for (const [part, own] of below(expected, `ihvp/${of}/`)) {
        const largest = Math.max(...numbers(own).map(Math.abs));
        if (largest > 1e-6) expectNear(solution[part]?.data, numbers(own), 1e-3, `${preconditioner} ${part}`);
      }
    }
    await matrix.release();
  });
});

it("preconditioners save products where they are near the matrix: of one layer Kronecker factors are the matrix", async () => {
  const model = nn.model(nn.linear(12, 3), { seed: 1 });
  const samples = 300;
  const data = {
    x: Float32Array.from({ length: samples * 12 }, (_, k) => 2 ** -(k % 12) * Math.sin(12.9898 * (k + 1) * (k + 3))),
    target: Float32Array.from({ length: samples * 3 }, (_, k) => Math.cos(k * k)),
  };
  const matrix = await curvature(model, data, { loss: "mse", of: "ggn", threads: 1 });
  const vector = { weight: { dtype: "float32" as const, dims: [3, 12], data: new Float32Array(36).fill(1) } };
  const solve = (preconditioner?: "diagonal" | "kronecker") =>
    matrix.solve(vector, { damping: 1e-5, maxIterations: 400, ...(preconditioner ? { preconditioner } : {}) });
  const [plain, diagonal, kronecker] = [await solve(), await solve("diagonal"), await solve("kronecker")];
  expect([plain, diagonal, kronecker].map(({ converged }) => converged)).toEqual([true, true, true]);
  expect(kronecker.iterations).toBeLessThan(5);
  expect(diagonal.iterations).toBeLessThan(plain.iterations);
  await matrix.release();
});

describe.each(["mlp_gelu", "multilabel"])("%s", (name) => {
  it.each(["hessian", "ggn", "fisher"] as const)(
    "the trace and the spectrum of the %s from few products",
    async (of) => {
      const { matrix, expected } = await load(name, of);
      const eigenvalues = numbers(expected.get(`mean_${of}_eigenvalues`));
      const trace = eigenvalues.reduce((sum, each) => sum + each, 0);
      const found = await matrix.estimateTrace({ probes: 60, seed: 1 });
      expect(found.iterations).toBeLessThanOrEqual(60);
      // Twenty directions hold nearly all of these matrices.
      expect(Math.abs(found.trace - trace)).toBeLessThan(0.05 * Math.abs(trace) + 4 * found.standardError);
      expect(found.standardError).toBeLessThan(0.1 * eigenvalues.reduce((sum, each) => sum + Math.abs(each), 0));
      const all = await matrix.estimateTrace({ probes: 3 * matrix.size });
      expectNear([all.trace], [trace], 1e-3, "all directions", Math.max(...eigenvalues.map(Math.abs)));
      const spectrum = await matrix.spectrum({ probes: 20, steps: 12 });
      expect(spectrum.weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 6);
      expect([...spectrum.values].sort((a, b) => a - b)).toEqual([...spectrum.values]);
      const [low = 0, high = 0] = [eigenvalues[0], eigenvalues.at(-1)];
      expectNear([spectrum.values[0] ?? 0, spectrum.values.at(-1) ?? 0], [low, high], 1e-2, "ends", high);
      // Moments of the spectrum: exact for each probe, a mean over random directions.
      const mean = (power: number) =>
        spectrum.values.reduce((sum, value, k) => sum + (spectrum.weights[k] ?? 0) * value ** power, 0) * matrix.size;
      const second = eigenvalues.reduce((sum, value) => sum + value * value, 0);
      expect(Math.abs(mean(1) - trace)).toBeLessThan(4 * Math.sqrt((2 * second) / 20));
      expect(mean(2) / second).toBeGreaterThan(0.4);
      expect(mean(2) / second).toBeLessThan(2.2);
      await matrix.release();
    },
  );
});

it("a system that is not positive definite says so", async () => {
  const { matrix, vector } = await load("mlp_gelu", "hessian");
  const { indefinite, converged, residual } = await matrix.solve(vector, { damping: 0 });
  expect({ indefinite, converged }).toEqual({ indefinite: true, converged: false });
  expect(residual).toBeGreaterThan(0);
  const near = await matrix.solve(vector, { damping: 1e-3, preconditioner: "diagonal" });
  expect(near).toMatchObject({ indefinite: true, converged: false });
});

it("what is forgotten or misspelt is said", async () => {
  const model = nn.model(nn.linear(2, 2), { seed: 1 });
  const data = { x: [1, 2, 3, 4], target: [0, 1] };
  const options = { loss: "cross_entropy", of: "ggn" } as const;
  const matrix = await curvature(model, data, options);
  await expect(matrix.solve({}, {} as never)).rejects.toThrow(/damping/);
  const wrong = { damping: 1, preconditioner: "kfac" as never };
  await expect(matrix.solve({}, wrong)).rejects.toThrow(/"diagonal" or "kronecker"/);
  await expect(matrix.solve({}, { damping: 0, preconditioner: "diagonal" })).rejects.toThrow(/damping above 0/);
  await expect(matrix.estimateTrace({ probes: 2 })).rejects.toThrow(/from 3 up/);
  await expect(matrix.spectrum({ steps: 0.5 })).rejects.toThrow(/from 1 up/);
  await expect(matrix.times({ wieght: zeros([2]) })).rejects.toThrow(/did you mean "weight"/);
  await expect(matrix.times({ bias: zeros([3]) })).rejects.toThrow(/\[3\]/);
  await expect(matrix.topEigenvalues(0)).rejects.toThrow(/from 1 up/);
  await expect(curvature(model, data, { ...options, of: "gnn" as never })).rejects.toThrow(/"ggn"/);
  const once = (async function* () {
    yield data;
  })();
  await expect(curvature(model, once, options)).rejects.toThrow(/read only once/);
  const stacked = await curvature(model, [data, data], options);
  const [one, both] = await Promise.all([matrix, stacked].map((each) => each.topEigenvalues()));
  expect(both?.values[0]).toBeCloseTo(one?.values[0] ?? Number.NaN, 5);
});

function zeros(dims: readonly number[]): Tensor {
  return { dtype: "float32", dims, data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)) };
}
