/** Scores agree with plain PyTorch autograd on one sample at a time, in float64: to 1e-4, and where a matrix is inverted to 1e-3. */
import { describe, expect, it } from "vitest";
import { attribution, losses, nn, type Tensor } from "../../src/index.js";
import { takeSamples } from "../../src/tensor/take-samples.js";
import { caseNames, loadCase, turned } from "../curvature/load-case.js";
import { expectNear } from "../curvature/support.js";

const inverted = { tolerance: 1e-3 };

type Loaded = Awaited<ReturnType<typeof loadCase>>;

async function agree(
  { expected, model, checkpoints, train, queries, options }: Loaded,
  method: attribution.Method,
  keys: { readonly scores?: string; readonly self?: string },
  { tolerance, all = false }: { readonly tolerance: number; readonly all?: boolean },
): Promise<void> {
  const models = all ? checkpoints : model;
  if (keys.scores) {
    const wanted = expected.get(keys.scores) as Tensor;
    const { scores } = await attribution.scores(models, train, queries, { ...options, method });
    expect(scores.dims, keys.scores).toEqual([wanted.dims[1], wanted.dims[0]]);
    expectNear(scores.data, turned(wanted), tolerance, keys.scores);
  }
  if (keys.self) {
    const wanted = expected.get(keys.self) as Tensor<"float64">;
    const found = await attribution.selfInfluence(models, train, { ...options, method });
    expectNear(found.data, wanted.data, tolerance, keys.self);
  }
}

describe.each(caseNames)("%s", (name) => {
  it("products of gradients", async () => {
    const loaded = await loadCase(name);
    const learningRates = loaded.settings.learning_rates;
    const near = { tolerance: 1e-4 };
    await agree(loaded, attribution.gradDot(), { scores: "graddot" }, near);
    await agree(loaded, attribution.gradCos(), { scores: "gradcos" }, near);
    const tracIn = { scores: "tracin", self: "tracin_self" };
    await agree(loaded, attribution.tracIn({ learningRates }), tracIn, { ...near, all: true });
    const cosine = attribution.tracIn({ learningRates, cosine: true });
    await agree(loaded, cosine, { scores: "tracin_cos" }, { ...near, all: true });
  });

  it("influence by the whole matrix of second derivatives", async () => {
    const loaded = await loadCase(name);
    const exact = { inverse: "exact", of: "hessian", damping: loaded.settings.damping.hessian ?? Number.NaN } as const;
    await agree(
      loaded,
      attribution.influence(exact),
      { scores: "influence/hessian", self: "self_influence/hessian" },
      inverted,
    );
    await agree(loaded, attribution.relatIF(exact), { scores: "relatif_l/hessian" }, inverted);
    await agree(
      loaded,
      attribution.relatIF({ ...exact, by: "parameters" }),
      { scores: "relatif_theta/hessian" },
      inverted,
    );
  });

  it.each(["exact", "gram"] as const)("influence by the ggn and the fisher, %s", async (inverse) => {
    const loaded = await loadCase(name);
    for (const of of ["ggn", "fisher"] as const) {
      const how = { inverse, of, damping: loaded.settings.damping[of] ?? Number.NaN };
      const self = inverse === "gram" ? { self: `self_influence/${of}` } : {};
      await agree(loaded, attribution.influence(how), { scores: `influence/${of}`, ...self }, inverted);
    }
    if (inverse === "exact") return;
    const how = { inverse, of: "ggn", damping: loaded.settings.damping.ggn ?? Number.NaN } as const;
    await agree(loaded, attribution.relatIF(how), { scores: "relatif_l/ggn" }, inverted);
    await agree(loaded, attribution.relatIF({ ...how, by: "parameters" }), { scores: "relatif_theta/ggn" }, inverted);
  });

  it("influence by the mean of each sample's inverse", async () => {
    const loaded = await loadCase(name);
    const damping = loaded.settings.damping.datainf ?? Number.NaN;
    const method = attribution.influence({ inverse: "dataInf", damping });
    await agree(loaded, method, { scores: "influence/datainf" }, { tolerance: 1e-4 });
  });
});

const withTrak = (await Promise.all(caseNames.map(async (name) => [name, await loadCase(name)] as const))).filter(
  ([, { settings }]) => settings.trak_damping !== undefined,
);

it.each(withTrak)("TRAK of %s", async (_, loaded) => {
  const { trak_condition: conditions = [], trak_damping: damping = Number.NaN } = loaded.settings;
  const projection = loaded.tensors.get("projection") as Tensor;
  // What float32 leaves of features, times what the inverse makes of it.
  const tolerance = 2e-6 * Math.max(...conditions);
  await agree(loaded, attribution.trak({ projection, damping: 0 }), { scores: "trak" }, { tolerance, all: true });
  await agree(
    loaded,
    attribution.trak({ projection, damping }),
    { scores: "trak_damped" },
    { tolerance: 1e-3, all: true },
  );
});

describe.each(["mlp_gelu", "cnn_small", "regression_sequence"])("%s", (name) => {
  it.each(["hessian", "ggn", "fisher"] as const)("conjugate gradients, and the series, on the %s", async (of) => {
    const loaded = await loadCase(name);
    const how = { of, damping: loaded.settings.damping[of] ?? Number.NaN };
    const keys = { scores: `influence/${of}` };
    await agree(loaded, attribution.influence({ ...how, inverse: "cg" }), keys, inverted);
    await agree(loaded, attribution.influence({ ...how, inverse: "lissa", terms: 500 }), keys, inverted);
  });
});

describe.each(caseNames)("EK-FAC of %s", (name) => {
  it.each(["empirical", "type2"] as const)("%s", async (kind) => {
    const loaded = await loadCase(name);
    const keys = { scores: `influence/ekfac_${kind}`, self: `self_influence/ekfac_${kind}` };
    // Of sequences there are no pseudo-targets.
    if (!loaded.expected.has(keys.scores)) {
      expect([kind, ["regression_sequence", "tied_language_model"]]).toEqual(["type2", expect.arrayContaining([name])]);
      return;
    }
    const parameters = loaded.settings.kfac_layers.map((layer) => `${layer}.*`);
    const of = kind === "type2" ? "ggn" : "fisher";
    const method = attribution.influence({
      inverse: "ekfac",
      of,
      damping: loaded.settings.damping.ekfac ?? Number.NaN,
    });
    await agree({ ...loaded, options: { ...loaded.options, ...{ parameters } } }, method, keys, inverted);
  });
});

it("batches of growing and of shrinking sizes are those of one batch", async () => {
  const { model, train, queries, options } = await loadCase("mlp_gelu");
  const cut = (data: typeof train, from: number, to: number) =>
    Object.fromEntries(Object.entries(data).map(([name, tensor]) => [name, takeSamples(tensor, 0, from, to)]));
  const method = attribution.gradDot();
  const whole = await attribution.scores(model, train, queries, { ...options, method });
  for (const sizes of [
    [1, 3],
    [3, 1],
  ]) {
    const [first = 0] = sizes;
    const parts = [cut(queries, 0, first), cut(queries, first, 4)];
    const samples = [cut(train, 0, 2), cut(train, 2, 9), cut(train, 9, 10)];
    const { scores } = await attribution.scores(model, samples, parts, { ...options, method });
    expectNear(scores.data, whole.scores.data, 1e-5, `batches of ${sizes}`);
  }
});

it("all eigenvalues together are the whole matrix", async () => {
  const loaded = await loadCase("mlp_gelu");
  const damping = loaded.settings.damping.fisher ?? Number.NaN;
  // With N < P the others are 0: what lies outside of the gradients' space has no part in a product of gradients.
  const method = attribution.influence({ inverse: "arnoldi", of: "fisher", rank: 10, damping });
  await agree(loaded, method, { scores: "influence/fisher" }, inverted);
});

it("the eigenvalues that arnoldi keeps are the largest in size", async () => {
  // The loss is x w^2 / 2, so the Hessian has the means of x on its diagonal, and the gradient of a sample is x w = x.
  const model = nn.trace({ x: ["N", 3] }, { w: nn.ones([3]) }, ({ x }, { w }) => x.mul(w.mul(w)).sum(1).mul(0.5));
  const x: Tensor<"float32"> = { dtype: "float32", dims: [2, 3], data: Float32Array.of(-2, 0, 1, -4, 2, 3) };
  const method = attribution.influence({ inverse: "arnoldi", of: "hessian", rank: 1, damping: 0.5 });
  const { scores } = await attribution.scores(model, { x }, { x }, { loss: losses.output(), method });
  const wanted = [-2, -4].flatMap((query) => [-2, -4].map((sample) => (query * sample) / (-3 + 0.5)));
  expectNear(scores.data, wanted, 1e-5, "scores");
});

it("the diagonal is that of PyTorch", async () => {
  const { expected, model, train, queries, options, settings } = await loadCase("mlp_gelu");
  const names = settings.parameters;
  const flat = (key: string, row: number) =>
    names.flatMap((each) => {
      const { dims, data } = expected.get(`${key}/${each}`) as Tensor<"float64">;
      const size = dims.slice(key === "fisher_diagonal" ? 0 : 1).reduce((product, dim) => product * dim, 1);
      return [...data.subarray(row * size, (row + 1) * size)];
    });
  const diagonal = flat("fisher_diagonal", 0);
  const damping = 0.01;
  const method = attribution.influence({ inverse: "diagonal", damping });
  const own = await attribution.selfInfluence(model, train, { ...options, method });
  const wanted = Array.from({ length: 10 }, (_, n) =>
    flat("gradients", n).reduce((sum, g, k) => sum + (g * g) / ((diagonal[k] ?? 0) + damping), 0),
  );
  expectNear(own.data, wanted, 1e-4, "self-influence");
  const { scores } = await attribution.scores(model, queries, train, { ...options, method });
  expect(scores.dims).toEqual([10, 4]);
});

it("representer points", async () => {
  const { expected, model, train, queries, options, settings } = await loadCase("mlp_gelu");
  const { l2, layer } = settings.representer as { readonly l2: number; readonly layer: string };
  const { dims, data } = expected.get("representer/values") as Tensor<"float64">;
  const [samples = 0, others = 0, classes = 0] = dims;
  const labels = Array.from(queries.target?.data ?? [], Number);
  const wanted = labels.flatMap((label, m) =>
    Array.from({ length: samples }, (_, n) => data[(n * others + m) * classes + label] ?? Number.NaN),
  );
  for (const method of [
    attribution.representerPoints({ l2 }),
    attribution.representerPoints({ l2, layer: `${layer}.weight` }),
  ]) {
    const { scores } = await attribution.scores(model, train, queries, { ...options, method });
    expectNear(scores.data, wanted, 1e-4, "representer points");
  }
});
