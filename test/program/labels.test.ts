/** Class labels that the model's own loss looks up are checked: the runtime takes a negative one for the last class. */
import { describe, expect, it } from "vitest";
import { constant, losses, perSample, type Traced, want } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";

const classes = 3;

function modelOf(op: string, ignore?: number) {
  return trace(
    { x: { shape: ["N", 4] }, y: { shape: ["N", 1], dtype: "int64" } },
    { w: uniform([4, classes], 1) },
    ({ x, y }, { w }) => {
      const scores = x.matmul(w).logSoftmax(1);
      const attributes = { reduction: "none", ...(ignore === undefined ? {} : { ignore_index: ignore }) };
      return scores.onnx(op, [y.squeeze(1)], attributes);
    },
  );
}

describe.each(["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"])("%s", (op) => {
  it.each([undefined, -100, 255])(
    "takes the classes and the label that it ignores (%s), and no others",
    async (ignore) => {
      const program = await perSample(modelOf(op, ignore), { loss: losses.output(), want: { norms: want.norms() } });
      const x = Float32Array.from({ length: 8 }, (_, k) => Math.sin(k));
      const run = (...labels: number[]) => program.run({ x, y: BigInt64Array.from(labels, BigInt) });
      await run(0, classes - 1);
      if (ignore !== undefined) expect((await run(0, ignore)).norms.total.data[1]).toBe(0);
      for (const wrong of [-1, -100, classes, 255].filter((label) => label !== ignore)) {
        await expect(run(1, wrong)).rejects.toMatchObject({
          code: "LABEL_OUT_OF_RANGE",
          message: expect.stringContaining(`"y" holds the label ${wrong} in sample 1, outside 0..2 of the ${op} node`),
        });
      }
      await program.release();
    },
  );
});

/** Ways of picking a label's score that exporters write. */
const picks: Readonly<Record<string, (scores: Traced, y: Traced) => Traced>> = {
  GatherElements: (scores, y) => scores.logSoftmax(1).gatherElements(y, 1).squeeze(1).neg(),
  "GatherElements of a logarithm": (scores, y) => scores.softmax(1).log().neg().gatherElements(y, 1).squeeze(1),
  GatherND: (scores, y) => scores.logSoftmax(1).onnx("GatherND", [y], { batch_dims: 1 }).neg(),
  OneHot: (scores, y) => {
    const row = y.squeeze(1).onnx("OneHot", [constant(classes, "int64"), constant([0, 1])]);
    return scores.logSoftmax(1).mul(row).sum([1]).neg();
  },
};

describe.each(Object.entries(picks))("a label that picks by %s", (op, pick) => {
  const model = trace(
    { x: { shape: ["N", 4] }, y: { shape: ["N", 1], dtype: "int64" } },
    { w: uniform([4, classes], 1) },
    ({ x, y }, { w }) => pick(x.matmul(w), y),
  );
  it("is one of the classes", async () => {
    const program = await perSample(model, { loss: losses.output(), want: { norms: want.norms() } });
    const x = Float32Array.from({ length: 8 }, (_, k) => Math.sin(k));
    const run = (...labels: number[]) => program.run({ x, y: BigInt64Array.from(labels, BigInt) });
    await run(0, classes - 1);
    for (const wrong of [-1, -classes]) {
      await expect(run(1, wrong)).rejects.toMatchObject({
        code: "LABEL_OUT_OF_RANGE",
        message: expect.stringContaining(`"y" holds the label ${wrong} in sample 1, outside 0..2 of the`),
      });
    }
    // Rows of zeros, which have no one, count for nothing.
    if (op === "OneHot") expect((await run(0, -100)).norms.total.data[1]).toBe(0);
    else await expect(run(0, classes)).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
    await program.release();
  });
});

it("an index into anything else may count from the end", async () => {
  const model = trace(
    { x: { shape: ["N", 4] }, y: { shape: ["N", 1], dtype: "int64" } },
    { w: uniform([4, classes], 1) },
    ({ x, y }, { w }) => x.matmul(w).gatherElements(y, 1).squeeze(1),
  );
  const program = await perSample(model, { loss: losses.output(), want: { losses: want.losses() } });
  const x = Float32Array.from({ length: 8 }, (_, k) => Math.sin(k));
  const last = await program.run({ x, y: BigInt64Array.of(-1n, -2n) });
  const same = await program.run({ x, y: BigInt64Array.of(2n, 1n) });
  expect(last.losses).toEqual(same.losses);
  await program.release();
});

it("a number for each class in the place of labels is told from a wrong shape", async () => {
  const model = trace({ x: ["N", 4] }, { w: uniform([4, classes], 1) }, ({ x }, { w }) => x.matmul(w));
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  const x = Float32Array.from({ length: 8 }, (_, k) => Math.sin(k));
  const rows = (dims: readonly number[]) => ({
    float32: { dtype: "float32", dims, data: Float32Array.of(1, 0, 0, 0, 0, 1).subarray(0, dims[0] === 2 ? 6 : 2) },
    int64: { dtype: "int64", dims, data: BigInt64Array.of(1n, 0n, 0n, 0n, 0n, 1n).subarray(0, 2 * (dims[1] ?? 1)) },
  });
  for (const target of [rows([2, 3]).float32, rows([2, 3]).int64] as const)
    await expect(program.run({ x, target: target as never })).rejects.toMatchObject({
      code: "DTYPE_MISMATCH",
      message: expect.stringMatching(/\[2, 3\], a number for each class .*int64 \[N\]; give .*argmax/),
    });
  // A column of labels is no such thing.
  await expect(program.run({ x, target: rows([2, 1]).int64 as never })).rejects.toMatchObject({
    code: "SHAPE_MISMATCH",
    message: expect.stringContaining("reshape it"),
  });
  await program.release();
});
