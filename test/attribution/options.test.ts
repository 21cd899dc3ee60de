/** Options of a wrong type, out of range, or of no use in their combination are refused at once, in a clear sentence. */
import { describe, expect, it } from "vitest";
import { adam, attribution, curvature, findIssues, kroneckerCurvature, nn, type Tensor } from "../../src/index.js";
import { floats, labels } from "../cli/support.js";

const model = nn.model(nn.linear(3, 3), { seed: 1 });
const data = { x: floats([6, 3]), target: labels(0, 1, 2, 0, 1, 2) };
const common = { loss: "cross_entropy", threads: 1 } as const;

/** As a caller without a type checker gives them. */
const any = (value: unknown) => JSON.parse(JSON.stringify(value));
const refused = (message: RegExp) =>
  expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });

const { influence, relatIF, tracIn, trak, loGra, representerPoints, subsets } = attribution;
const state = { first: {}, second: {}, steps: 1 };

describe("a method of attribution", () => {
  it.each<readonly [options: object, make: (options: ReturnType<typeof any>) => unknown, message: RegExp]>([
    [
      { inverse: "arnoldi", rank: 0 },
      influence,
      /The rank of attribution.influence must be a whole number from 1 up, not 0/,
    ],
    [{ inverse: "arnoldi", rank: "a" }, influence, /The rank .* not "a"/],
    [{ inverse: "arnoldi", rank: 1.5 }, relatIF, /The rank of attribution.relatIF .* not 1.5/],
    [{ inverse: "gram", rank: 3 }, influence, /"gram" does not use rank; leave that out, or give inverse: "arnoldi"/],
    [{ rank: 3 }, influence, /"gram" does not use rank/],
    [{ inverse: "cg", terms: 3 }, influence, /"cg" does not use terms; .* inverse: "lissa"/],
    [{ inverse: "lissa", maxIterations: 3 }, influence, /"lissa" does not use maxIterations; .* inverse: "cg"/],
    [{ inverse: "exact", tolerance: 0.1 }, influence, /"exact" does not use tolerance/],
    [{ inverse: "ekfac", scale: 0.1 }, influence, /"ekfac" does not use scale/],
    [{ inverse: "cg", tolerance: 0 }, influence, /The tolerance .* must be a number above 0, not 0/],
    [{ inverse: "cg", maxIterations: -1 }, influence, /The maxIterations .* from 1 up, not -1/],
    [{ inverse: "lissa", terms: "many" }, influence, /The terms .* not "many"/],
    [{ inverse: "lissa", scale: -1 }, influence, /The scale .* above 0, not -1/],
    [{ inverse: "ekfak" }, influence, /no inverse "ekfak"; did you mean "ekfac"\?/],
    [{ inverse: "exact", of: "hesian" }, influence, /not "hesian"; did you mean "hessian"\?/],
    [{ damping: "0.1" }, influence, /The damping .* from 0 up, not "0.1"/],
    [{ dampign: 0.1 }, influence, /no option "dampign"; did you mean "damping"\?/],
    [{ by: "los" }, relatIF, /not "los"; did you mean "loss"\?/],
    [{ bye: "loss" }, relatIF, /no option "bye"; did you mean "by"\?/],
    [{ learningRates: 0.1 }, tracIn, /learning rates of tracIn must be an array of numbers, not 0.1/],
    [{ learningRates: ["0.1"] }, tracIn, /array of numbers, not "0.1"/],
    [{ cosine: "yes" }, tracIn, /cosine of tracIn must be true or false, not "yes"/],
    [{ beta1: 0.5 }, tracIn, /uses beta1 for steps of Adam only/],
    [{ adam: state }, tracIn, /adam of tracIn must be an array with \{ first, second, steps \}/],
    [{ adam: [{ first: {}, second: {} }] }, tracIn, /adam of tracIn/],
    [{ adam: [state], beta2: 1 }, tracIn, /The beta2 of tracIn must be a number from 0 and below 1, not 1/],
    [{ adam: [state], cosine: false }, tracIn, /always gives cosines/],
    [{ output: "logit" }, trak, /The output of trak must be "margin" or "loss", not "logit"/],
    [{ dims: 0 }, trak, /The number of dims of trak .* not 0/],
    [{ seed: -1 }, trak, /The seed of trak .* not -1/],
    [{ projection: [1, 2] }, trak, /The projection of trak must be a tensor, not an array/],
    [{ projection: { dtype: "float32", dims: [12, 1], data: [] }, seed: 1 }, trak, /leave out the seed/],
    [{ dims: "a" }, loGra, /The number of dims of loGra .* not "a"/],
    [{ seed: 0.5 }, loGra, /The seed of loGra .* not 0.5/],
    [{ l2: 1, layer: 3 }, representerPoints, /The layer of representerPoints must be the name of a parameter, not 3/],
    [{ l2: "1" }, representerPoints, /a number above 0, not "1"/],
    [
      { samples: 4, fraction: "0.5" },
      subsets,
      /The fraction of subsets must be a number above 0 and below 1, not "0.5"/,
    ],
    [{ samples: 4, seed: -1 }, subsets, /The seed of subsets .* not -1/],
    [{}, subsets, /subsets needs samples/],
  ])("refuses %j", (options, make, message) => {
    expect(() => make(any(options))).toThrow(refused(message));
  });

  it("is found by its name", async () => {
    const { scores } = await attribution.scores(nn.model(nn.linear(3, 3), { seed: 1 }), many(25), data, {
      ...common,
      method: "loGra",
    });
    expect(scores.dims).toEqual([6, 25]);
  });
});

/** Enough samples to measure a damping on. */
function many(count: number) {
  const x: Tensor = floats([count, 3]);
  return { x, target: labels(...Array.from({ length: count }, (_, n) => n % 3)) };
}

describe("functions of attribution", () => {
  it.each<readonly [options: object, message: RegExp]>([
    [{ dims: 0 }, /The number of dims of an index .* not 0/],
    [{ dims: "a" }, /The number of dims of an index .* not "a"/],
    [{ seed: 1.5 }, /The seed of an index .* not 1.5/],
    [{ storage: "float61" }, /The storage of an index must be .*; did you mean "float16"\?/],
    [{ shardSize: 0 }, /The shardSize of an index .* not 0/],
  ])("index refuses %j", async (options, message) => {
    const given = { ...common, method: "gradDot", out: "never-made", ...any(options) };
    await expect(attribution.index(model, data, given)).rejects.toEqual(refused(message));
  });

  it("leaveOut and the score of scores refuse what is no tensor", async () => {
    const given = { ...common, method: influence({ damping: 0.1 }), retrained: any({ subsets: [[1, 0]] }) };
    await expect(attribution.leaveOut(model, data, data, given)).rejects.toEqual(
      refused(/subsets of retrained must be/),
    );
    const table: Tensor = floats([2, 6]);
    expect(() => attribution.linearDatamodelingScore(table, any(null), table)).toThrow(
      refused(/The subsets .* not null/),
    );
  });
});

describe("curvature", () => {
  it("refuses wrong options of its functions", async () => {
    await expect(curvature(model, data, { ...common, of: any("hesian") })).rejects.toEqual(
      refused(/did you mean "hessian"\?/),
    );
    const whole = await curvature(model, data, { ...common, of: "ggn" });
    for (const [options, message] of [
      [{ end: "both" }, /The end of topEigenvalues must be "largest", "smallest" or "either", not "both"/],
      [{ end: "largets" }, /did you mean "largest"\?/],
      [{ tolerance: -1 }, /The tolerance of topEigenvalues must be a number above 0, not -1/],
      [{ maxIterations: 0 }, /The maxIterations of topEigenvalues .* not 0/],
      [{ seed: "a" }, /The seed of topEigenvalues .* not "a"/],
    ] as const)
      await expect(whole.topEigenvalues(1, any(options))).rejects.toEqual(refused(message));
    await expect(whole.topEigenvalues(any("two"))).rejects.toEqual(refused(/The number of eigenvalues .* not "two"/));
    await expect(whole.estimateTrace(any({ probes: 2 }))).rejects.toEqual(refused(/from 3 up, not 2/));
    await expect(whole.estimateTrace(any({}))).rejects.toEqual(refused(/needs probes/));
    await expect(whole.spectrum({ steps: 0 })).rejects.toEqual(refused(/The number of steps of spectrum .* not 0/));
    await expect(whole.spectrum({ seed: -1 })).rejects.toEqual(refused(/The seed of spectrum .* not -1/));
    const vector = { weight: floats([3, 3]) };
    for (const [options, message] of [
      [{ damping: 1, tolerance: "a" }, /The tolerance of solve .* not "a"/],
      [{ damping: 1, maxIterations: 1.5 }, /The maxIterations of solve .* not 1.5/],
      [{ damping: 1, preconditioner: "diagonl" }, /did you mean "diagonal"\?/],
    ] as const)
      await expect(whole.solve(vector, any(options))).rejects.toEqual(refused(message));
    await whole.release();
    await expect(kroneckerCurvature(model, data, any({ ...common, kind: "typ2" }))).rejects.toEqual(
      refused(/did you mean "type2"\?/),
    );
    await expect(kroneckerCurvature(model, data, any({ ...common, kind: "type2", corrected: "no" }))).rejects.toEqual(
      refused(/corrected of kroneckerCurvature must be true or false, not "no"/),
    );
  });
});

describe("findIssues", () => {
  const training = { optimizer: () => adam({ learningRate: 0.1 }), epochs: 1, batchSize: 2 };
  const regression = { x: floats([6, 3]), target: floats([6, 3]) };
  it.each<readonly [what: string, options: Parameters<typeof findIssues>[2], message: RegExp]>([
    ["dims", { ...common, dims: any("a") }, /The number of dims of findIssues .* not "a"/],
    ["neighbours", { ...common, neighbours: 0 }, /The number of neighbours of findIssues .* not 0/],
    ["a damping that is text", { ...common, damping: any("0.1") }, /The damping of findIssues .* not "0.1"/],
    ["checkpoints that are no list", { ...common, checkpoints: any({}) }, /must be an array of parameters by name/],
    [
      "a misspelt option of training",
      { ...common, training: { ...training, ...any({ epoch: 3 }) } },
      /"epoch"; did you mean "epochs"/,
    ],
    [
      "no epochs",
      { ...common, training: any({ batchSize: 2, optimizer: {} }) },
      /optimizer of findIssues' training must be a function/,
    ],
    ["a batch size", { ...common, training: { ...training, batchSize: 0 } }, /The batchSize of findIssues .* not 0/],
    ["folds", { ...common, training: { ...training, folds: 7 } }, /The number of folds .* from 2 to 6, not 7/],
  ])("refuses %s", async (_, options, message) => {
    await expect(findIssues(model, data, options)).rejects.toEqual(refused(message));
  });

  it("refuses folds where nothing is cross-validated", async () => {
    const options = { loss: "mse", threads: 1, training: { ...training, folds: 2 } } as const;
    await expect(findIssues(model, regression, options)).rejects.toEqual(refused(/leave out folds/));
  });
});
