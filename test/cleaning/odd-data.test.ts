/** Data sets as people have them: one class, few samples, numbers as targets, NaN, copies that disagree. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { adam, findIssues, type Issues, losses, nn, type PergradError, writeTensors } from "../../src/index.js";
import { random } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { temporaryFolder } from "../support/folder.js";

const samples = 30;
const network = (outputs: number) => nn.sequential(nn.linear(4, 8), nn.relu(), nn.linear(8, outputs));
const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * i + 1));
const floats = (columns: number, f: (i: number) => number): Tensor<"float32"> => ({
  dtype: "float32",
  dims: [samples, columns],
  data: Float32Array.from({ length: samples * columns }, (_, i) => f(i)),
});
const labels = (f: (n: number) => number) => Array.from({ length: samples }, (_, n) => f(n));
const options = { loss: "cross_entropy", dims: 16 } as const;

function requireScores({ scores }: Issues): void {
  for (const values of Object.values(scores))
    for (const value of values) expect(value >= 0 && value <= 1, String(value)).toBe(true);
}

test("a model is trained on a file as on the same samples in memory, to the last bit", async () => {
  const target = {
    dtype: "int64",
    dims: [samples],
    data: BigInt64Array.from(
      labels((n) => n % 3),
      BigInt,
    ),
  } as const;
  const data = { x: floats(4, (i) => Math.sin(i * i + 1)), target };
  const path = join(temporaryFolder(), "data.safetensors");
  await writeTensors(path, data);
  const training = { optimizer: () => adam({ learningRate: 0.01 }), epochs: 2, batchSize: 8, folds: 3 };
  const found = (own: typeof data | string) =>
    findIssues(nn.model(network(3), { input: { x: ["N", 4] }, seed: 2 }), own, { ...options, training });
  expect(await found(path)).toEqual(await found(data));
});

test("a batch that is larger than what a fold leaves is refused, with the largest that is possible", async () => {
  const found = (batchSize: number, loss: "cross_entropy" | "mse" = "cross_entropy") => {
    const training = { optimizer: () => adam({ learningRate: 0.01 }), epochs: 1, batchSize };
    const target = loss === "mse" ? floats(3, (i) => Math.cos(i)) : labels((n) => n % 3);
    return findIssues(network(3), { x: numbers(4 * samples), target }, { ...options, loss, training });
  };
  await expect(found(25)).rejects.toThrow(
    "A batch of 25 is too large: there are 30 samples, and cross-validation by 5 folds trains on 24 of them; give a batchSize of at most 24.",
  );
  await expect(found(31, "mse")).rejects.toThrow("there are 30 samples; give a batchSize of at most 30.");
  requireScores(await found(24));
  requireScores(await found(30, "mse"));
});

describe("targets", () => {
  test("of one class alone are all right", async () => {
    const issues = await findIssues(network(3), { x: numbers(4 * samples), target: labels(() => 1) }, options);
    requireScores(issues);
    expect(issues.scores.label.every((score) => score < 0.5)).toBe(true);
    expect(issues.suggested?.every((label) => label === 1)).toBe(true);
  });

  test.each([1, 2, 4])(
    "of %i of six classes never get another one as a suggestion, whatever the data",
    async (count) => {
      for (let seed = 1; seed <= 20; seed++) {
        const drawn = random(seed);
        const x = drawn.normals(4 * samples, 10);
        const target = labels((n) => (n % 7 === 6 ? -100 : Math.floor(drawn.uniform(0, count))));
        const loss = losses.crossEntropy({ ignoreIndex: -100 });
        const issues = await findIssues(network(6), { x, target }, { loss, dims: 16, seed });
        requireScores(issues);
        const used = new Set(target);
        expect(issues.suggested?.every((label) => used.has(label))).toBe(true);
        // Without a rival, nothing speaks against a label.
        if (count === 1) expect(issues.measures.margin?.every((margin) => margin >= 0)).toBe(true);
      }
    },
  );

  test("that are all ignored get no suggestion", async () => {
    const loss = losses.crossEntropy({ ignoreIndex: 0 });
    const issues = await findIssues(
      network(3),
      { x: numbers(4 * samples), target: labels(() => 0) },
      { loss, dims: 16 },
    );
    requireScores(issues);
    expect(issues.suggested?.every((label) => label === -1)).toBe(true);
  });

  test.each([-100, 255, 2])("that are ignored have no score: %i", async (ignoreIndex) => {
    const target = labels((n) => (n === 0 ? ignoreIndex : n % 2));
    const loss = losses.crossEntropy({ ignoreIndex });
    const checkpoints = [1, 2].map((seed) => nn.model(network(3), { input: { x: ["N", 4] }, seed }).parameters);
    const data = { x: numbers(4 * samples), target };
    const issues = await findIssues(network(3), data, { ...options, loss, checkpoints });
    requireScores(issues);
    expect([issues.labels?.[0], issues.scores.label[0], issues.scores.uninformative[0]]).toEqual([-1, 0, 1]);
    const { vog, vogVariance, el2n, aum } = issues.measures;
    expect([vog, vogVariance, el2n, aum].map((values) => values?.[0])).toEqual([0, 0, 0, 0]);
    expect(vog?.subarray(1).every((value) => value > 0)).toBe(true);
  });

  test("of sequences, some positions ignored, are scored by the loss", async () => {
    const network = nn.model(nn.sequential(nn.linear(4, 5)), { input: { x: ["N", 6, 4] }, seed: 1 });
    const data = BigInt64Array.from({ length: 6 * samples }, (_, i) => (i % 7 === 0 ? -100n : BigInt(i % 5)));
    const target = { dtype: "int64", dims: [samples, 6], data } as const;
    const loss = losses.crossEntropy({ ignoreIndex: -100 });
    const issues = await findIssues(network, { x: numbers(24 * samples), target }, { loss, dims: 16 });
    requireScores(issues);
    expect(issues.labelsBy).toBe("loss");
  });

  test("that are numbers, one of them far off, and several that are 0 or 1", async () => {
    const target = floats(1, (n) => (n === 3 ? 100 : Math.sin(n)));
    const issues = await findIssues(network(1), { x: numbers(4 * samples), target }, { loss: "mse", dims: 16 });
    requireScores(issues);
    expect(issues.scores.label[3]).toBeGreaterThan(0.9);
    const bits = floats(3, (i) => Number(Math.sin(3 * i) > 0));
    const binary = { loss: "bce_with_logits", dims: 16 } as const;
    requireScores(await findIssues(network(3), { x: numbers(4 * samples), target: bits }, binary));
  });

  test("that do not fit are refused by what they are", async () => {
    const refused = (target: Tensor | number[]) =>
      findIssues(network(3), { x: numbers(4 * samples), target }, options).catch((error: PergradError) => error.code);
    expect(await refused(floats(3, (i) => Number(i % 4 === 0)))).toBe("DTYPE_MISMATCH");
    expect(await refused(labels((n) => n % 5))).toBe("LABEL_OUT_OF_RANGE");
    expect(await refused([])).toBe("BATCH_MISMATCH");
  });
});

describe("samples", () => {
  test("of which there are two are compared, and one is refused", async () => {
    requireScores(await findIssues(network(3), { x: numbers(8), target: [0, 1] }, options));
    await expect(findIssues(network(3), { x: numbers(4), target: [0] }, options)).rejects.toThrow(/at least two/);
  });

  test("that are equal with different labels are copies, and all equal are too", async () => {
    const x = numbers(4 * samples);
    x.copyWithin(4, 0, 4);
    const { scores, sameAs } = await findIssues(network(3), { x, target: labels((n) => n % 3) }, options);
    expect([sameAs[0], sameAs[1], sameAs[2]]).toEqual([1, 0, -1]);
    expect([scores.duplicate[0], scores.duplicate[1]]).toEqual([1, 1]);
    const all = { x: new Float32Array(4 * samples).fill(1), target: labels((n) => n % 3) };
    const issues = await findIssues(network(3), all, options);
    requireScores(issues);
    expect(issues.scores.duplicate.every((score) => score === 1)).toBe(true);
  });

  test("that hold NaN are refused; where they are allowed, they are outliers and the others keep their scores", async () => {
    const x = numbers(4 * samples);
    const target = labels((n) => n % 3);
    x[9] = Number.NaN;
    await expect(findIssues(network(3), { x, target }, options)).rejects.toMatchObject({ code: "NOT_FINITE" });
    const seed = 1;
    const issues = await findIssues(network(3), { x, target }, { ...options, seed, allowNotFinite: true });
    requireScores(issues);
    expect([issues.scores.outlier[2], issues.scores.label[2], issues.scores.uninformative[2]]).toEqual([1, 0, 0]);
    expect(issues.measures.loss[2]).toBeNaN();
    const others = labels((n) => n).filter((n) => n !== 2);
    const without = {
      x: Float32Array.from(others.flatMap((n) => [...x.subarray(4 * n, 4 * n + 4)])),
      target: others.map((n) => n % 3),
    };
    const alone = await findIssues(network(3), without, { ...options, seed });
    others.forEach((n, k) => {
      expect(issues.scores.uninformative[n]).toBeCloseTo(alone.scores.uninformative[k] ?? -1, 5);
      expect(issues.scores.outlier[n]).toBeCloseTo(alone.scores.outlier[k] ?? -1, 1);
    });
  });

  test("whose target is NaN have a wrong label", async () => {
    const target = floats(1, (n) => (n === 4 ? Number.NaN : Math.sin(n)));
    const own = { loss: "mse", dims: 16, allowNotFinite: true } as const;
    const issues = await findIssues(network(1), { x: numbers(4 * samples), target }, own);
    requireScores(issues);
    expect(issues.scores.label[4]).toBe(1);
  });
});
