/** A sample whose gradient is not finite ends what a whole data set's curvature is for, by an error that names it. */
import { describe, expect, it } from "vitest";
import {
  type Curvature,
  curvature,
  diagnostics,
  findIssues,
  kroneckerCurvature,
  laplace,
  losses,
  type Model,
  type NotFinite,
} from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";

/** The root has no derivative at 0, where a sample of zeros is. */
const rooted: Model = trace(
  { x: ["N", 3] },
  { weight: uniform([3, 2], 1), bias: uniform([2], 1) },
  ({ x }, { weight, bias }) => x.matmul(weight).square().sqrt().add(bias),
);
const data = {
  x: Float32Array.from({ length: 18 }, (_, k) => (k >= 6 && k < 9 ? 0 : Math.sin(1 + k))),
  target: Float32Array.from({ length: 12 }, (_, k) => Math.cos(k)),
};
const loss = losses.mse();
const named = { code: "NOT_FINITE", message: expect.stringMatching(/^The gradient of sample 2 .*is not finite; /) };

describe.each(["hessian", "ggn", "fisher"] as const)("the curvature (%s)", (of) => {
  it.each([
    ["times", (matrix: Curvature) => matrix.times(rooted.parameters)],
    ["topEigenvalues", (matrix: Curvature) => matrix.topEigenvalues(1)],
    ["trace", (matrix: Curvature) => matrix.trace()],
    ["estimateTrace", (matrix: Curvature) => matrix.estimateTrace({ probes: 3 })],
    ["spectrum", (matrix: Curvature) => matrix.spectrum({ probes: 1, steps: 4 })],
    ["solve", (matrix: Curvature) => matrix.solve(rooted.parameters, { damping: 0.1 })],
    [
      "solve with a preconditioner",
      (matrix: Curvature) => matrix.solve(rooted.parameters, { damping: 0.1, preconditioner: "kronecker" }),
    ],
  ] as const)("%s throws", async (_, call) => {
    const matrix = await curvature(rooted, data, { loss, of });
    await expect(call(matrix)).rejects.toMatchObject(named);
    await matrix.release();
  });
});

it.each(["type2", "empirical"] as const)("Kronecker factors (%s) throw", async (kind) => {
  await expect(kroneckerCurvature(rooted, data, { loss, kind })).rejects.toMatchObject(named);
});

it.each(["diagonal", "kronecker", "full"] as const)("a Laplace approximation (%s) throws", async (structure) => {
  await expect(laplace(rooted, data, { loss, structure, priorPrecision: 1 })).rejects.toMatchObject(named);
});

/** The warnings of what is done meanwhile. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = [];
  const listen = ({ message }: Error) => warnings.push(message);
  process.on("warning", listen);
  await work();
  await new Promise(setImmediate);
  process.removeListener("warning", listen);
  return warnings;
}

it("diagnostics warn once, of that sample only", async () => {
  const warnings = await warningsOf(() => diagnostics(rooted, data, { loss, curvature: true }));
  expect(warnings).toEqual([expect.stringMatching(/^The gradient of sample 2 \(in "weight"\) is not finite/)]);
});

it("findIssues warns of it once, or calls onNotFinite, with several checkpoints too", async () => {
  const several = { loss, checkpoints: [rooted.parameters, rooted.parameters] };
  for (const options of [{ loss }, several]) {
    const warnings = await warningsOf(() => findIssues(rooted, data, options));
    expect(warnings).toEqual(['The gradient of sample 2 (in "weight") is not finite.']);
    const told: NotFinite[] = [];
    const silent = await warningsOf(() =>
      findIssues(rooted, data, { ...options, onNotFinite: (each) => told.push(each) }),
    );
    expect(silent).toEqual([]);
    expect(told).toMatchObject([{ samples: [{ sample: 2, loss: false, parameters: ["weight"] }] }]);
  }
});
