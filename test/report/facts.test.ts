/** The numbers at the head of a report. */
import { expect, test } from "vitest";
import { losses, nn } from "../../src/index.js";
import { reportContent } from "../../src/report/report.js";

test("samples whose label the loss ignores are not counted as wrongly predicted", async () => {
  const model = nn.trace({ x: ["N", 2] }, { gain: nn.ones([2]) }, ({ x }, { gain }) => x.mul(gain));
  const x = { dtype: "float32", dims: [5, 2], data: Float32Array.of(3, 0, 0, 3, 3, 0, 0, 3, 3, 0) } as const;
  const target = { dtype: "int64", dims: [5], data: BigInt64Array.of(0n, 1n, -1n, -1n, 1n) } as const;
  const { facts } = await reportContent(model, { x, target }, { loss: losses.crossEntropy({ ignoreIndex: -1 }) });
  expect(facts).toContainEqual(["66.7 %", "predicted as labelled"]);
});
