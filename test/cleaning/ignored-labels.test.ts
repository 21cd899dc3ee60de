/** Samples whose label the loss ignores have no score of a wrong label, and change nothing for the others. */
import { describe, expect, test } from "vitest";
import { findIssues, type Issues, losses, nn, type Tensor } from "../../src/index.js";
import { expectNear } from "../curvature/support.js";

const [labelled, ignored] = [40, 25];
const all = labelled + ignored;
const model = nn.model(nn.sequential(nn.linear(4, 8), nn.relu(), nn.linear(8, 3)), { seed: 3 });
const floats = (count: number, columns: number, f = (i: number) => Math.sin(i * i + 1)): Tensor<"float32"> => ({
  dtype: "float32",
  dims: [count, columns],
  data: Float32Array.from({ length: count * columns }, (_, i) => f(i)),
});
const label = (n: number) => (n % 7 === 0 ? (n + 1) % 3 : n % 3);

/** Scores and measures that may not depend on samples without labels. */
function requireSame(some: Issues, whole: Issues): void {
  const first = (values: ArrayLike<number> = []) => Array.from(values).slice(0, labelled);
  for (const key of ["label", "uninformative"] as const)
    expectNear(first(whole.scores[key]), first(some.scores[key]), 1e-4, key);
  if (some.measures.margin) expectNear(first(whole.measures.margin), first(some.measures.margin), 1e-4, "margin");
  expect(first(whole.suggested)).toEqual(first(some.suggested));
}

describe("ignored labels", () => {
  const loss = losses.crossEntropy({ ignoreIndex: -100 });
  const target = (count: number) => Array.from({ length: count }, (_, n) => (n < labelled ? label(n) : -100));
  const found = (count: number) =>
    findIssues(model, { x: floats(count, 4), target: target(count) }, { loss, dims: 16, threads: 1 });

  test("leave the scores of the others as they are", async () => {
    requireSame(await found(labelled), await found(all));
  });

  test("get none themselves, but a suggestion", async () => {
    const { scores, measures, suggested, labels } = await found(all);
    expect(scores.label.slice(labelled).every((score) => score === 0)).toBe(true);
    expect(scores.uninformative.slice(labelled).every((score) => score === 1)).toBe(true);
    expect(measures.neighbourAgreement?.slice(labelled).every(Number.isNaN)).toBe(true);
    expect(measures.neighbourAgreement?.slice(0, labelled).some(Number.isFinite)).toBe(true);
    expect(labels?.slice(labelled).every((each) => each === -1)).toBe(true);
    expect(suggested?.every((each) => each >= 0 && each < 3)).toBe(true);
  });

  test("get no suggestion where no sample has a label", async () => {
    const target = Array.from({ length: 6 }, () => -100);
    const { suggested } = await findIssues(model, { x: floats(6, 4), target }, { loss, dims: 16, threads: 1 });
    expect(suggested).toEqual(new Int32Array(6).fill(-1));
  });

  test("agree with no neighbour, not even with one that is ignored too", async () => {
    // Two clusters: in the first the labels are known and alike, in the second nearly all are ignored.
    const x = floats(all, 4, (i) => (Math.floor(i / 4) < labelled ? 1 : -1) * (1 + 0.01 * Math.sin(i * i)));
    const given = Array.from({ length: all }, (_, n) => (n < labelled ? 1 : n === labelled ? 0 : -100));
    const { measures } = await findIssues(model, { x, target: given }, { loss, dims: 16, threads: 1 });
    expect(measures.neighbourAgreement?.slice(0, labelled)).toEqual(new Float32Array(labelled).fill(1));
    expect(measures.neighbourAgreement?.[labelled]).toBeNaN();
  });
});

test("sequences of which all labels are ignored leave the scores of the others as they are", async () => {
  const network = nn.trace({ x: ["N", 5, 4] }, { net: nn.linear(4, 3) }, ({ x }, { net }) => net(x), { seed: 1 });
  const found = (count: number) => {
    const target: Tensor = {
      dtype: "int64",
      dims: [count, 5],
      data: BigInt64Array.from({ length: count * 5 }, (_, i) =>
        i < labelled * 5 && i % 5 < 4 ? BigInt(label(i)) : -1n,
      ),
    };
    const x: Tensor = { ...floats(count, 20), dims: [count, 5, 4] };
    return findIssues(network, { x, target }, { loss: losses.crossEntropy({ ignoreIndex: -1 }), dims: 16, threads: 1 });
  };
  const [some, whole] = [await found(labelled), await found(all)];
  requireSame(some, whole);
  expect(whole.labelsBy).toBe("loss");
  expect(whole.scores.label.slice(labelled).every((score) => score === 0)).toBe(true);
});

test.each([
  ["numbers", "mse", (n: number) => Math.cos(n)],
  ["bits", "bce_with_logits", (n: number) => n % 2],
] as const)("targets that are NaN leave the scores of the other %s as they are", async (_, loss, f) => {
  const found = (count: number) => {
    const target = floats(count, 3, (i) => (i < labelled * 3 ? f(i) : Number.NaN));
    const data = { x: floats(count, 4), target };
    return findIssues(model, data, { loss, dims: 16, threads: 1, allowNotFinite: true });
  };
  const [some, whole] = [await found(labelled), await found(all)];
  requireSame(some, whole);
  expect(whole.scores.label.slice(labelled).every((score) => score === 1)).toBe(true);
});
