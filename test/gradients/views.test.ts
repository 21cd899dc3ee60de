/** Projections and pairs of gradients that a parameter's shape sees through reshapes and transpositions. */
import fc from "fast-check";
import { it } from "vitest";
import type { Traced } from "../../src/trace/index.js";
import { compareWithLoop } from "../support/per-sample.js";
import { makeCase } from "../support/spec.js";

const perSampleSum = (y: Traced) => y.square().sum(y.value.shape.map((_, axis) => axis).slice(1));

const weights = fc
  .tuple(fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }), fc.nat(100))
  .map(([shape, cut]) => {
    const permutation = shape.map((_, axis) => axis).sort((a, b) => ((a * 7 + cut) % 5) - ((b * 7 + cut) % 5) || a - b);
    const moved = permutation.map((axis) => shape[axis] as number);
    const at = cut % (shape.length + 1);
    const size = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1);
    return { shape, permutation, rows: size(moved.slice(0, at)), columns: size(moved.slice(at)) };
  });

it("every way agrees with the loop", () => {
  fc.assert(
    fc.property(
      weights,
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 3 }),
      (weight, samples, positions) => {
        const { shape, permutation, rows, columns } = weight;
        compareWithLoop(
          makeCase({
            samples,
            inputs: { x: { shape: positions === 0 ? ["N", rows] : ["N", positions, rows] } },
            parameters: { w: shape },
            loss: ({ w, x }) => {
              const matrix = (w as Traced).transpose(permutation).reshape([rows, columns]);
              return perSampleSum((x as Traced).matmul(matrix).tanh());
            },
          }),
        );
      },
    ),
    { numRuns: 60 },
  );
});

it("every way agrees with the loop where rows are picked", () => {
  fc.assert(
    fc.property(
      weights,
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      (weight, samples, positions) => {
        const { shape, permutation, rows, columns } = weight;
        compareWithLoop(
          makeCase({
            samples,
            inputs: { i: { shape: ["N", positions], ids: [0, rows - 1, rows >> 1] } },
            parameters: { w: shape },
            loss: ({ w, i }) => {
              const table = (w as Traced).transpose(permutation).reshape([rows, columns]);
              return perSampleSum(table.onnx("Gather", [i as Traced], { axis: 0 }).tanh());
            },
          }),
        );
      },
    ),
    { numRuns: 60 },
  );
});
