/** Real digits with labels that were changed, copies and noise: the scores find them. */
import { beforeAll, describe, expect, test } from "vitest";
import { loadDigits } from "../../examples/digits/data.js";
import { areaUnderCurve, averagePrecision } from "../../scripts/ranking.js";
import { findIssues, type Issues, nn, sgd, train } from "../../src/index.js";
import { random } from "../../src/tensor/random.js";
import { permutation } from "../../src/train/batches.js";

const [samples, pixels, changed] = [2000, 784, 200];

describe("2,000 digits", () => {
  const wrong = new Set<number>();
  const right: number[] = [];
  let issues: Issues;

  beforeAll(async () => {
    const digits = await loadDigits();
    const source = random(5);
    const order = permutation(digits.target.data.length, source).slice(0, samples);
    const x = new Float32Array(samples * pixels);
    order.forEach((from, n) => {
      x.set(digits.x.data.subarray(from * pixels, (from + 1) * pixels), n * pixels);
      right.push(Number(digits.target.data[from]));
    });
    for (const n of permutation(samples, source).slice(0, changed)) wrong.add(n);
    const target = right.map((label, n) =>
      wrong.has(n) ? (label + 1 + Math.floor(source.uniform(0, 9))) % 10 : label,
    );
    // A copy, a copy with a trace of noise, and noise.
    x.set(x.subarray(0, pixels), pixels);
    x.set(
      x.subarray(2 * pixels, 3 * pixels).map((each) => each + source.uniform(0, 0.002)),
      3 * pixels,
    );
    x.set(source.uniforms(pixels, 0, 1), 4 * pixels);
    const data = { x, target };
    const network = nn.sequential(nn.linear(784, 128), nn.relu(), nn.linear(128, 64), nn.relu(), nn.linear(64, 10));
    const optimizer = sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.001 });
    const { model } = await train(network, data, {
      loss: "cross_entropy",
      optimizer,
      batchSize: 50,
      epochs: 5,
      seed: 1,
    });
    issues = await findIssues(model, data, { loss: "cross_entropy" });
  });

  test("the label score finds changed labels better than the loss", () => {
    const area = areaUnderCurve(issues.scores.label, wrong);
    expect(area).toBeGreaterThan(0.985);
    expect(area).toBeGreaterThan(areaUnderCurve(issues.measures.loss, wrong));
    expect(averagePrecision(issues.scores.label, wrong)).toBeGreaterThan(0.88);
    expect(issues.labelsBy).toBe("neighbours");
  });

  test("most labels that are suggested for changed ones are the true ones", () => {
    const found = [...wrong].filter((n) => issues.suggested?.[n] === right[n]);
    expect(found.length).toBeGreaterThan(0.8 * changed);
    // Where the score is below a half, the label stays.
    issues.suggested?.forEach((label, n) => {
      if ((issues.scores.label[n] ?? 0) <= 0.5) expect(label).toBe(issues.labels?.[n]);
    });
  });

  test("copies and near-copies have the highest scores", () => {
    const { duplicate } = issues.scores;
    expect([issues.sameAs[0], issues.sameAs[1], issues.sameAs[2]]).toEqual([1, 0, -1]);
    expect([duplicate[0], duplicate[1]]).toEqual([1, 1]);
    expect(issues.nearest[3]).toBe(2);
    expect(duplicate[3]).toBeGreaterThan(0.8);
    expect(duplicate.filter((score) => score > 0.8).length).toBeLessThan(20);
  });

  test("noise is an outlier", () => {
    const rank = issues.scores.outlier.filter((score) => score > (issues.scores.outlier[4] ?? 0)).length;
    expect(rank).toBeLessThan(samples / 100);
  });

  test("samples with short gradients teach nothing", () => {
    const { norm } = issues.measures;
    const order = Array.from(norm.keys()).sort((a, b) => (norm[a] ?? 0) - (norm[b] ?? 0));
    const [least = 0] = order;
    const most = order[samples - 1] ?? 0;
    expect(issues.scores.uninformative[least]).toBeGreaterThan(0.9);
    expect(issues.scores.uninformative[most]).toBeLessThan(0.1);
  });
});
