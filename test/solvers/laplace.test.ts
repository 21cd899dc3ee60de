/**
 * Laplace approximations agree with dense algebra of PyTorch's exact matrices, with that of pergrad's own diagonals and
 * factors, and with Bayesian linear regression, where they are exact.
 */
import { CholeskyDecomposition, Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { laplace, nn, perSample, type Tensor, tensor, want, withParameters } from "../../src/index.js";
import { caseNames, loadCase } from "../curvature/load-case.js";
import { expectNear, numbers } from "../curvature/support.js";

async function load(name: string) {
  const { settings, train: data, queries, ...loaded } = await loadCase(name);
  const inputs = Object.entries(queries).filter(([input]) => input !== "target");
  return { ...loaded, data, queries: Object.fromEntries(inputs), priorPrecision: settings.prior_precision };
}

const settled = await Promise.all(caseNames.map(async (name) => ({ name, ...(await loadCase(name)).settings })));
const withPrior = settled.filter(({ prior_precision }) => prior_precision !== undefined).map(({ name }) => name);

describe.each(withPrior)("%s", (name) => {
  it("the full posterior is PyTorch's", async () => {
    const { model, options, data, queries, expected, priorPrecision = 0 } = await load(name);
    const posterior = await laplace(model, data, { ...options, structure: "full", priorPrecision, microbatchSize: 3 });
    const { covariance, output, probabilities } = await posterior.predict(queries);
    expectNear(covariance.data, numbers(expected.get("laplace/functional_variance")), 1e-3, "variance");
    const ratio = numbers(expected.get("laplace/log_determinant_ratio"));
    expectNear([posterior.logDeterminantRatio], ratio, 1e-4, "determinant");
    const likelihood = numbers(expected.get("laplace/log_marginal_likelihood"));
    expectNear([posterior.logMarginalLikelihood], likelihood, 1e-4, "marginal likelihood");
    const [samples = 0, size = 0] = output.dims;
    const squashed = numbers(output).map((f, k) => {
      const n = Math.floor(k / size);
      const variance = covariance.data[n * size * size + (k % size) * (size + 1)] ?? Number.NaN;
      return f / Math.sqrt(1 + (Math.PI / 8) * variance);
    });
    const chances = Array.from({ length: samples }, (_, n) => {
      const own = squashed.slice(n * size, (n + 1) * size);
      if (options.loss.name === "bce_with_logits") return own.map((x) => 1 / (1 + Math.exp(-x)));
      const sum = own.reduce((total, x) => total + Math.exp(x), 0);
      return own.map((x) => Math.exp(x) / sum);
    }).flat();
    expectNear(probabilities?.data, chances, 1e-5, "probabilities");
    await posterior.release();
  });
});

/** The blocks of a dense precision and the Jacobians, all parameters one after another. */
async function dense(
  { model, options, data, queries }: Awaited<ReturnType<typeof load>>,
  precision: (names: readonly string[], sizes: readonly number[]) => Promise<Matrix>,
) {
  const program = await perSample(model, { ...options, want: { jacobian: want.jacobian() } });
  const target = tensorOf(data.target, Object.values(queries)[0]?.dims[0] ?? 0);
  const { jacobian } = await program.run({ ...queries, target });
  const names = Object.keys(jacobian);
  const [samples = 0, outputs = 0] = jacobian[names[0] ?? ""]?.dims ?? [];
  const size = (name: string) => (jacobian[name]?.data.length ?? 0) / (samples * outputs);
  const matrix = new CholeskyDecomposition(await precision(names, names.map(size)));
  return Array.from({ length: samples }, (_, n) => {
    const rows = Array.from({ length: outputs }, (_, o) =>
      names.flatMap((name) => {
        const from = (n * outputs + o) * size(name);
        return [...(jacobian[name]?.data.subarray(from, from + size(name)) ?? [])];
      }),
    );
    const own = new Matrix(rows);
    return own.mmul(matrix.solve(own.transpose())).to1DArray();
  }).flat();
}

/** Any target for so many samples. */
function tensorOf({ dtype, dims, data }: Tensor, samples: number): Tensor {
  const size = samples * dims.slice(1).reduce((product, dim) => product * dim, 1);
  return { dtype, dims: [samples, ...dims.slice(1)], data: data.slice(0, size) } as Tensor;
}

describe.each(["mlp_gelu", "multilabel", "transformer_classifier"])("%s", (name) => {
  it("a diagonal posterior is that of the diagonal", async () => {
    const given = await load(name);
    const { model, options, data, queries } = given;
    const terms = name === "multilabel" ? (data.target.dims[1] ?? 0) : 1;
    const program = await perSample(model, { ...options, want: { ggn: want.ggnDiagonal() } });
    const { ggn } = await program.run(data);
    const samples = data.target.dims[0] ?? 0;
    const expected = await dense(given, async (names) => {
      const all = names.flatMap((own) => {
        const { data: values = new Float32Array() } = ggn[own] ?? {};
        const size = values.length / samples;
        return Array.from({ length: size }, (_, i) => {
          let sum = 0;
          for (let n = 0; n < samples; n++) sum += terms * (values[n * size + i] ?? 0);
          return sum + 0.5;
        });
      });
      return Matrix.diag(all);
    });
    const posterior = await laplace(model, data, { ...options, structure: "diagonal", priorPrecision: 0.5 });
    expectNear((await posterior.predict(queries)).covariance.data, expected, 1e-3, "variance");
  });

  it("the last layer's posterior is the full one of its parameters", async () => {
    const { model, options, data, queries } = await load(name);
    const last = await laplace(model, data, { ...options, structure: "lastLayer", priorPrecision: 2 });
    expect(last.parameters).toHaveLength(2);
    const full = await laplace(model, data, {
      ...options,
      parameters: last.parameters,
      structure: "full",
      priorPrecision: 2,
    });
    const [own, other] = [await last.predict(queries), await full.predict(queries)];
    expectNear(own.covariance.data, numbers(other.covariance), 1e-5, "variance");
    expect(last.logMarginalLikelihood).toBeCloseTo(full.logMarginalLikelihood, 4);
    // No more is known of the other parameters than that they are those.
    const all = await laplace(model, data, { ...options, structure: "full", priorPrecision: 2 });
    const wider = numbers((await all.predict(queries)).covariance);
    expect(wider[0]).toBeGreaterThan(own.covariance.data[0] ?? Number.NaN);
  });
});

it("a Kronecker posterior is that of the factors' product", async () => {
  const given = await load("mlp_gelu");
  const { model, options, data, queries } = given;
  const program = await perSample(model, { ...options, want: { kfac: want.kroneckerFactors({ kind: "type2" }) } });
  const { kfac } = await program.run(data);
  const samples = data.target.dims[0] ?? 0;
  const expected = await dense(given, async (names, sizes) => {
    const starts = sizes.map((_, k) => sizes.slice(0, k).reduce((sum, size) => sum + size, 0));
    const size = sizes.reduce((sum, own) => sum + own, 0);
    const precision = Matrix.eye(size).mul(0.5);
    for (const [weight, { A, B }] of Object.entries(kfac.layers)) {
      const at = (name: string) => starts[names.indexOf(name)] ?? Number.NaN;
      const [inputs = 0] = A.dims;
      const [outputs = 0] = B.dims;
      const place = (o: number, i: number) =>
        i < inputs - 1 ? at(weight) + o * (inputs - 1) + i : at(weight.replace("weight", "bias")) + o;
      for (let o = 0; o < outputs; o++)
        for (let p = 0; p < outputs; p++)
          for (let i = 0; i < inputs; i++)
            for (let j = 0; j < inputs; j++) {
              // The bias is apart from the weight.
              if ((i === inputs - 1) !== (j === inputs - 1)) continue;
              const [row, column] = [place(o, i), place(p, j)];
              const own = samples * (B.data[o * outputs + p] ?? 0) * (A.data[i * inputs + j] ?? 0);
              precision.set(row, column, precision.get(row, column) + own);
            }
    }
    return precision;
  });
  const posterior = await laplace(model, data, { ...options, structure: "kronecker", priorPrecision: 0.5 });
  expectNear((await posterior.predict(queries)).covariance.data, expected, 1e-3, "variance");
});

it("of a linear model with mse it is Bayesian linear regression", async () => {
  const [samples, inputs, prior, noise] = [9, 3, 0.7, 0.4];
  const x = Array.from({ length: samples }, (_, n) => [Math.sin(3 * n), Math.cos(5 * n), Math.sin(7 * n + 1)]);
  const y = x.map(([a = 0, b = 0, c = 0], n) => a - 2 * b + 0.5 * c + 0.2 * Math.cos(11 * n));
  const design = new Matrix(x);
  const precision = design
    .transpose()
    .mmul(design)
    .div(noise ** 2)
    .add(Matrix.eye(inputs).mul(prior));
  const inverse = new CholeskyDecomposition(precision);
  const mean = inverse.solve(
    design
      .transpose()
      .mmul(Matrix.columnVector(y))
      .div(noise ** 2),
  );
  const untrained = nn.model(nn.linear(inputs, 1, { bias: false }), { seed: 1 });
  const model = withParameters(untrained, {
    weight: tensor("float32", [1, inputs], Float32Array.from(mean.to1DArray())),
  });
  const data = { x: Float32Array.from(x.flat()), target: Float32Array.from(y) };
  const posterior = await laplace(model, data, { loss: "mse", structure: "full", priorPrecision: prior, noise });
  const query = new Matrix([[1, -1, 2]]);
  const { output, covariance, probabilities } = await posterior.predict({ x: [1, -1, 2] });
  expect(probabilities).toBeNull();
  expectNear(output.data, query.mmul(mean).to1DArray(), 1e-5, "mean");
  expectNear(covariance.data, query.mmul(inverse.solve(query.transpose())).to1DArray(), 1e-4, "variance");
  // The evidence: y is Gaussian with covariance noise^2 I + X X' / prior.
  const evidence = design
    .mmul(design.transpose())
    .div(prior)
    .add(Matrix.eye(samples).mul(noise ** 2));
  const factor = new CholeskyDecomposition(evidence);
  const log = factor.lowerTriangularMatrix.diag().reduce((sum, value) => sum + 2 * Math.log(value), 0);
  const column = Matrix.columnVector(y);
  const square = column.transpose().mmul(factor.solve(column)).get(0, 0);
  const expected = -(square + log + samples * Math.log(2 * Math.PI)) / 2;
  expect(posterior.logMarginalLikelihood).toBeCloseTo(expected, 3);
});

it("a prior can be found by the marginal likelihood", async () => {
  const { model, options, data } = await load("mlp_gelu");
  for (const structure of ["kronecker", "full"] as const) {
    const found = await laplace(model, data, { ...options, structure, priorPrecision: "marginalLikelihood" });
    const { priorPrecision, logMarginalLikelihood } = found;
    expect(priorPrecision).toBeGreaterThan(0);
    for (const factor of [0.1, 0.9, 1.1, 10])
      expect(found.logMarginalLikelihoodAt(priorPrecision * factor)).toBeLessThan(logMarginalLikelihood);
  }
});

it("what cannot be is said", async () => {
  const model = nn.model(nn.linear(2, 2), { seed: 1 });
  const data = { x: [1, 2, 3, 4], target: [0, 1] };
  const options = { loss: "cross_entropy", structure: "full", priorPrecision: 1 } as const;
  const of = (more: object, own: object = data) => laplace(model, own as typeof data, { ...options, ...more });
  await expect(of({ structure: "kron" })).rejects.toThrow(/"kronecker"/);
  await expect(of({ priorPrecision: 0 })).rejects.toThrow(/above 0/);
  await expect(of({ noise: 1 })).rejects.toThrow(/leave it out/);
  await expect(of({ prior: 1 })).rejects.toThrow(/no option "prior"/);
  const numbersOf = { x: [1, 2, 3, 4], target: [0, 1, 0, 1] };
  await expect(of({ loss: "huber" }, numbersOf)).rejects.toThrow(/likelihood/);
  await expect(of({ loss: "mse", noise: -1 }, numbersOf)).rejects.toThrow(/noise/);
  const wide = nn.model(nn.linear(70, 70), { seed: 1 });
  const many = { x: new Float32Array(70), target: [3] };
  await expect(laplace(wide, many, options)).rejects.toThrow(/4096 parameters, but there are 4970/);
});
