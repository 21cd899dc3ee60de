/** Eigenvalues, systems and traces of a whole data set agree with dense algebra of PyTorch's exact matrices. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { curvature, loadModel, nn, type Tensor } from "../../src/index.js";
import { readTensors } from "../../src/io/files.js";
import { asVectors, below, expectNear } from "../curvature/support.js";

const folder = join(import.meta.dirname, "../curvature/cases");

async function load(name: string, of: "hessian" | "ggn" | "fisher") {
  const settings = JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8"));
  const tensors = await readTensors(join(folder, name, "data.safetensors"));
  const expected = await readTensors(join(folder, name, "expected.safetensors"));
  const model = await loadModel(join(folder, name, "model.onnx"));
  const { name: input = "" } = model.graph.inputs[0] ?? {};
  const data = { [input]: tensors.get(input) as Tensor, target: tensors.get("target") as Tensor };
  const target = {
    dtype: data.target?.dtype ?? "float32",
    shape: ["N" as const, ...(data.target?.dims.slice(1) ?? [])],
  };
  const matrix = await curvature(model, data, { loss: settings.loss, target, of, threads: 1 });
  return { settings, expected, matrix, vector: asVectors(below(tensors, "vector/")) };
}

const numbers = (tensor: Tensor | undefined) => Array.from<number | bigint, number>(tensor?.data ?? [], Number);

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
    const { solution, ...said } = await matrix.solve(vector, { damping: settings.damping[of], maxIterations: 400 });
    expect(said).toMatchObject({ converged: true, indefinite: false });
    for (const [part, own] of below(expected, `ihvp/${of}/`))
      expectNear(solution[part]?.data, numbers(own), 1e-3, `${of} ${part}`);
    const eigenvalues = numbers(expected.get(`mean_${of}_eigenvalues`));
    const trace = eigenvalues.reduce((sum, each) => sum + each, 0);
    expect(Math.abs((await matrix.trace()) - trace)).toBeLessThan(2e-4 * Math.max(...eigenvalues.map(Math.abs)));
    await matrix.release();
  });
});

it("a system that is not positive definite says so", async () => {
  const { matrix, vector } = await load("mlp_gelu", "hessian");
  const { indefinite, converged, residual } = await matrix.solve(vector, { damping: 0 });
  expect({ indefinite, converged }).toEqual({ indefinite: true, converged: false });
  expect(residual).toBeGreaterThan(0);
});

it("what is forgotten or misspelt is said", async () => {
  const model = nn.model(nn.linear(2, 2), { seed: 1 });
  const data = { x: [1, 2, 3, 4], target: [0, 1] };
  const options = { loss: "cross_entropy", of: "ggn" } as const;
  const matrix = await curvature(model, data, options);
  await expect(matrix.solve({}, {} as never)).rejects.toThrow(/damping/);
  await expect(matrix.times({ wieght: zeros([2]) })).rejects.toThrow(/did you mean "weight"/);
  await expect(matrix.times({ bias: zeros([3]) })).rejects.toThrow(/\[3\]/);
  await expect(matrix.topEigenvalues(0)).rejects.toThrow(/from 1 up/);
  await expect(curvature(model, data, { ...options, of: "gnn" as never })).rejects.toThrow(/"ggn"/);
  const once = (async function* () {
    yield data;
  })();
  await expect(curvature(model, once, options)).rejects.toThrow(/read once/);
  const stacked = await curvature(model, [data, data], options);
  const [one, both] = await Promise.all([matrix, stacked].map((each) => each.topEigenvalues()));
  expect(both?.values[0]).toBeCloseTo(one?.values[0] ?? Number.NaN, 5);
});

function zeros(dims: readonly number[]): Tensor {
  return { dtype: "float32", dims, data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)) };
}
