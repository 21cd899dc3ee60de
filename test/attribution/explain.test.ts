/** `attribution.explain` says by which approximation tables, norms, recurrent weights and convolutions take part, and it is the one that is taken. */
import { describe, expect, it } from "vitest";
import { attribution, concat, kroneckerCurvature, type Model, nn } from "../../src/index.js";
import { encoded, floats, labels, workspace } from "../cli/support.js";
import { loadCase } from "../curvature/load-case.js";

const model: Model = nn.trace(
  { ids: { shape: ["N", 5], dtype: "int64" }, picture: ["N", 1, 6, 6] },
  {
    table: nn.embedding(7, 4),
    norm: nn.layerNorm(4),
    words: nn.lstm(4, 3).last,
    conv: nn.conv2d(1, 2, 3),
    wide: nn.layerNorm([2, 4, 4]),
    grouped: nn.conv2d(2, 2, 3, { groups: 2, bias: false }),
    head: nn.linear(3 + 8, 3),
  },
  ({ ids, picture }, own) => {
    const words = own.words(own.norm(own.table(ids)));
    const seen = own.grouped(own.wide(own.conv(picture)).tanh()).reshape(["N", 8]);
    return own.head(concat([words, seen], 1));
  },
);
const data = {
  ids: { dtype: "int64", dims: [6, 5], data: BigInt64Array.from({ length: 30 }, (_, k) => BigInt((k * k + 1) % 7)) },
  picture: floats([6, 1, 6, 6]),
  target: labels(0, 2, 1, 1, 0, 2),
} as const;
const loss = "cross_entropy";

async function approximations(method: attribution.GivenMethod): Promise<Record<string, string>> {
  const { rows } = await attribution.explain(model, { loss, method });
  expect(rows.map(({ parameter }) => parameter)).toEqual(Object.keys(model.parameters));
  return Object.fromEntries(rows.map(({ parameter, approximation }) => [parameter, approximation]));
}

describe("what stands for each parameter", () => {
  it.each(["ekfac", "kfac"] as const)("in %s: the blocks that the solver has", async (inverse) => {
    const explained = await attribution.explain(model, { loss, method: attribution.influence({ inverse }) });
    const made = await kroneckerCurvature(model, data, { loss, kind: "type2", corrected: inverse === "ekfac" });
    const blocks = made.blocks.flatMap(({ parameters, approximation }) =>
      parameters.map((name) => [name, [approximation, ...parameters.filter((other) => other !== name)]]),
    );
    const kindOf = (word: string) =>
      word.startsWith("Kronecker") ? "kronecker" : word === "exact block" ? "full" : word;
    const said = explained.rows.map((row) => [row.parameter, [kindOf(row.approximation), ...row.with]]);
    expect(Object.fromEntries(said)).toEqual(Object.fromEntries(blocks));
    await made.release();
    expect(await approximations(attribution.influence({ inverse }))).toEqual({
      "table.weight": "Kronecker of a table (expand)",
      "norm.weight": "exact block",
      "norm.bias": "exact block",
      "words.input_weight_l0": "Kronecker (expand)",
      "words.hidden_weight_l0": "Kronecker (expand)",
      "words.input_bias_l0": "Kronecker (expand)",
      "words.hidden_bias_l0": "exact block",
      "conv.weight": "Kronecker (expand)",
      "conv.bias": "Kronecker (expand)",
      "wide.weight": "Kronecker of gradients",
      "wide.bias": "Kronecker of gradients",
      "grouped.weight": "Kronecker of gradients",
      "head.weight": "Kronecker",
      "head.bias": "Kronecker",
    });
    expect(`${explained}`).toMatch(/^conv\.weight .* each of its 16 positions taken for a sample.*; with conv\.bias$/m);
    expect(/eigenvalues/.test(`${explained}`)).toBe(inverse === "ekfac");
  });

  it("in TRAK: whether gradients are materialised before they are projected", async () => {
    const found = await approximations(attribution.trak({ dims: 16 }));
    expect(found).toMatchObject({
      "table.weight": "projection",
      "norm.weight": "projection",
      "words.hidden_weight_l0": "projection",
      "conv.weight": "projection",
    });
    // Of a table with many rows, those that were picked are few numbers beside its gradient.
    const large = nn.model(nn.sequential(nn.embedding(500, 8), nn.flatten(), nn.linear(40, 3)), {
      input: { x: { shape: ["N", 5], dtype: "int64" } },
      seed: 1,
    });
    const { rows } = await attribution.explain(large, { loss, method: attribution.trak({ dims: 16 }) });
    expect(rows[0]).toMatchObject({ parameter: "0.weight", approximation: "projection of factors" });
    expect(await approximations(attribution.loGra({ dims: 16 }))).toEqual(found);
    const whole = await approximations(attribution.trak());
    expect(new Set(Object.values(whole))).toEqual(new Set(["exact"]));
    const projection = floats([Object.values(model.parameters).reduce((sum, { data: own }) => sum + own.length, 0), 2]);
    const given = await approximations(attribution.trak({ projection }));
    expect(new Set(Object.values(given))).toEqual(new Set(["given projection"]));
  });

  it("a weight that is used twice is projected use by use", async () => {
    const { model: tied, options } = await loadCase("tied_language_model");
    const { rows } = await attribution.explain(tied, { ...options, method: attribution.trak({ dims: 2 }) });
    const [table] = rows.filter(({ approximation }) => approximation === "projection by terms");
    expect(table).toMatchObject({ shape: [8, 6], how: expect.stringContaining("2 uses") });
  });

  it.each([
    ["gradDot", attribution.gradDot(), ["exact"]],
    ["gram", attribution.influence(), ["exact"]],
    ["cg", attribution.influence({ inverse: "cg" }), ["exact products"]],
    ["arnoldi", attribution.relatIF({ inverse: "arnoldi" }), ["largest eigenvalues"]],
    ["diagonal", attribution.influence({ inverse: "diagonal" }), ["diagonal"]],
    ["dataInf", attribution.influence({ inverse: "dataInf" }), ["mean of inverses"]],
    ["representer points", attribution.representerPoints({ l2: 1 }), ["left out", "exact"]],
  ])("in %s", async (_, method, words) => {
    expect([...new Set(Object.values(await approximations(method)))]).toEqual(words);
  });
});

it("the command explains a method, as a table and as JSON, and says which options do not fit", async () => {
  const { command } = await workspace(encoded(model), data);
  const given = ["explain", "--loss", loss, "--method", "influence", "--inverse", "kfac"] as const;
  const { code, out } = await command(...given);
  expect(code).toBe(0);
  expect(out).toMatch(/^influence: inverse kfac, of ggn\n\nparameter +shape +approximation +how\n/);
  expect(out).toMatch(/^norm\.weight +\[4\] +exact block +exact, all 4 by 4 elements$/m);
  const [plain] = JSON.parse((await command(...given, "--json")).out);
  expect(plain.parameters).toContainEqual({
    parameter: "norm.weight",
    shape: [4],
    approximation: "exact block",
    how: "exact, all 4 by 4 elements",
    with: [],
  });
  for (const [more, message] of [
    [["--want", "norms"], /--want does not go with --method/],
    [["--dims", "3"], /--dims is for --method trak or logra, not for influence/],
    [["--rank", "3"], /--rank is for --inverse arnoldi/],
  ] as const) {
    const refused = await command(...given, ...more);
    expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(message)]);
  }
  const alone = await command("explain", "--loss", loss, "--inverse", "kfac");
  expect([alone.code, alone.err]).toEqual([2, expect.stringMatching(/--inverse is for --method; give that too/)]);
});
