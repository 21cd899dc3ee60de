/** Class labels that the model's own loss looks up are checked: the runtime takes a negative one for the last class. */
import { describe, expect, it } from "vitest";
import { losses, perSample, want } from "../../src/index.js";
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
