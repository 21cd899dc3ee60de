/** Laplace approximations of every structure agree with laplace-torch (scripts/laplace-torch.py) to 1e-4. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type LaplaceOptions, laplace, nn, type Tensor, withParameters } from "../../src/index.js";
import { entryOf } from "../../src/present.js";
import { expectNear } from "../curvature/support.js";

interface Numbers {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

interface Predicted {
  readonly covariance: Numbers;
  readonly logMarginalLikelihood: number;
  readonly logDeterminantRatio: number;
  readonly probabilities?: Numbers;
}

interface Case {
  readonly priorPrecision: number;
  readonly noise: number | null;
  readonly parameters: Readonly<Record<string, Numbers>>;
  readonly x: Numbers;
  readonly target: Numbers;
  readonly queries: Numbers;
  readonly structures: Readonly<Record<LaplaceOptions["structure"], Predicted>>;
}

const cases: Readonly<Record<string, Case>> = JSON.parse(
  readFileSync(join(import.meta.dirname, "laplace-torch.json"), "utf8"),
);

const networks: Readonly<Record<string, () => nn.Module>> = {
  perceptron: () => nn.sequential(nn.linear(3, 5), nn.tanh(), nn.linear(5, 3)),
  images: () =>
    nn.sequential(
      nn.conv2d(2, 3, 3, { stride: 2, padding: 1 }),
      nn.tanh(),
      nn.conv2d(3, 2, 2, { bias: false }),
      nn.tanh(),
      nn.flatten(),
      nn.linear(8, 4),
    ),
  regression: () => nn.sequential(nn.linear(3, 5, { bias: false }), nn.tanh(), nn.linear(5, 2)),
};

const float = ({ dims, data }: Numbers): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from(data),
});

function labels({ dims, data }: Numbers): Tensor<"int64"> {
  return { dtype: "int64", dims, data: BigInt64Array.from(data, BigInt) };
}

describe.each(Object.keys(networks))("%s", (name) => {
  const { priorPrecision, noise, parameters, x, target, queries, structures } = entryOf(cases, name);
  const weights = Object.fromEntries(Object.entries(parameters).map(([own, values]) => [own, float(values)]));
  const input = { x: ["N", ...x.dims.slice(1)] } as const;
  const model = withParameters(nn.model(entryOf(networks, name)(), { input, seed: 0 }), weights);
  const data = { x: float(x), target: noise === null ? labels(target) : float(target) };

  it.each(["full", "kronecker", "diagonal", "lastLayer"] as const)("%s", async (structure) => {
    const expected = structures[structure];
    const posterior = await laplace(model, data, {
      loss: noise === null ? "cross_entropy" : "mse",
      structure,
      priorPrecision,
      ...(noise === null ? {} : { noise }),
    });
    expect(posterior.logMarginalLikelihood / expected.logMarginalLikelihood).toBeCloseTo(1, 4);
    expect(posterior.logDeterminantRatio / expected.logDeterminantRatio).toBeCloseTo(1, 4);
    const { covariance, probabilities } = await posterior.predict({ x: float(queries) });
    expectNear(covariance.data, expected.covariance.data, 1e-4, "covariance");
    if (expected.probabilities) expectNear(probabilities?.data, expected.probabilities.data, 1e-4, "probabilities");
    else expect(probabilities).toBeNull();
    await posterior.release();
  });
});
