/** KFAC and EK-FAC of a whole data set agree with dense algebra of PyTorch's exact per-layer matrices. */
import { describe, expect, it } from "vitest";
import { kroneckerCurvature, perSample, type Tensor, want } from "../../src/index.js";
import { caseNames, loadCase } from "../curvature/load-case.js";
import { asVectors, below, expectNear, numbers } from "../curvature/support.js";

async function load(name: string) {
  const { settings, train: data, queries: test, ...loaded } = await loadCase(name);
  return {
    ...loaded,
    data,
    test,
    layers: settings.kfac_layers,
    damping: settings.damping.ekfac as number,
  };
}

describe.each(caseNames)("%s", (name) => {
  it.each(["empirical", "type2"] as const)("%s eigenvalues, inverses and influences", async (kind) => {
    const { model, options, data, test, expected, tensors, layers, damping } = await load(name);
    const inverse = below(expected, `ekfac/${kind}/ivp/`);
    if (inverse.size === 0) return;
    const ekfac = await kroneckerCurvature(model, data, { ...options, kind, microbatchSize: 4 });
    for (const layer of layers) {
      const block = ekfac.blocks.find(({ parameters: [first] }) => first === `${layer}.weight`);
      expect(block?.approximation).toBe("kronecker");
      const eigenvalues = numbers(block?.eigenvalues).sort((a, b) => a - b);
      expectNear(eigenvalues, numbers(expected.get(`ekfac/${kind}/eigenvalues/${layer}`)), 2e-4, layer);
    }
    const solution = await ekfac.solve(asVectors(below(tensors, "vector/")), { damping });
    for (const [part, own] of inverse) expectNear(solution[part]?.data, numbers(own), 1e-3, part);
    await ekfac.release();

    const parameters = layers.map((layer) => `${layer}.*`);
    const part = await kroneckerCurvature(model, data, { ...options, kind, parameters });
    const program = await perSample(model, { ...options, parameters, want: { gradients: want.gradients() } });
    const [train, queries] = [(await program.run(data)).gradients, (await program.run(test)).gradients];
    const influence = products(train, await part.solveEach(queries, { damping }));
    expectNear(influence, numbers(expected.get(`influence/ekfac_${kind}`)), 1e-3, "influence");
    const own = products(train, await part.solveEach(train, { damping }));
    const [samples = 0] = data.target.dims;
    const diagonal = Array.from({ length: samples }, (_, n) => own[n * (samples + 1)] ?? Number.NaN);
    expectNear(diagonal, numbers(expected.get(`self_influence/ekfac_${kind}`)), 1e-3, "self influence");
    await part.release();
  });

  it.each(["empirical", "type2"] as const)("%s factors have PyTorch's eigenvalues", async (kind) => {
    const { model, options, data, expected, layers } = await load(name);
    if (below(expected, `kfac/${kind}/`).size === 0) return;
    const kfac = await kroneckerCurvature(model, data, { ...options, kind, corrected: false });
    for (const layer of layers) {
      const [A = [], B = []] = ["A", "B"].map((side) =>
        numbers(expected.get(`kfac/${kind}/eigenvalues_${side}/${layer}`)),
      );
      const all = B.flatMap((b) => A.map((a) => Math.max(0, a * b))).sort((a, b) => a - b);
      const block = kfac.blocks.find(({ parameters: [first] }) => first === `${layer}.weight`);
      expectNear(
        numbers(block?.eigenvalues).sort((a, b) => a - b),
        all,
        1e-4,
        layer,
      );
    }
  });
});

/** The inner products of all pairs, row by row. */
function products(a: Readonly<Record<string, Tensor>>, b: Readonly<Record<string, Tensor>>): number[] {
  const rows = (of: Readonly<Record<string, Tensor>>) => {
    const count = Object.values(of)[0]?.dims[0] ?? 0;
    return Array.from({ length: count }, (_, n) =>
      Object.keys(a).flatMap((name) => {
        const all = numbers(of[name]);
        return all.slice((n * all.length) / count, ((n + 1) * all.length) / count);
      }),
    );
  };
  const others = rows(b);
  return rows(a).flatMap((own) => others.map((other) => own.reduce((sum, x, k) => sum + x * (other[k] ?? 0), 0)));
}
