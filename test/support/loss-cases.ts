/** Random cases of the operators that compare scores with labels. */
import fc from "fast-check";
import { filled, positive } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const pick = fc.constantFrom;

export const lossCases = (op: string, outputs: number): Cases =>
  fc
    .record({
      batch: pick(1, 2, 3),
      classes: pick(2, 3),
      positions: fc.array(pick(1, 2), { maxLength: 2 }),
      reduction: pick("none", "sum", "mean", undefined),
      ignored: pick(undefined, undefined, 0, 1, -1, -100, 7),
      weighted: fc.boolean(),
      count: fc.integer({ min: 1, max: outputs }),
      dtype: pick("int64" as const, "int32" as const),
    })
    .chain(({ batch, classes, positions, reduction, ignored, weighted, count, dtype }) => {
      const dims = [batch, ...positions];
      const size = dims.reduce<number>((product, dim) => product * dim, 1);
      // The first label counts: the mean over none is not a number.
      const first = ignored === 0 ? 1 : 0;
      const known: number[] = [0, 1, classes - 1, ...(ignored === undefined ? [] : [ignored])];
      const label = pick(...known);
      const labels = fc
        .array(label, { minLength: size, maxLength: size })
        .map((data) => ({ dims, data: [first, ...data.slice(1)], dtype }));
      return fc
        .tuple(
          filled([batch, classes, ...positions]),
          labels,
          weighted ? filled([classes], positive) : fc.constant(null),
        )
        .map(([scores, targets, weights]) => ({
          op,
          inputs: weights ? [scores, targets, weights] : [scores, targets],
          attributes: {
            ...(reduction === undefined ? {} : { reduction }),
            ...(ignored === undefined ? {} : { ignore_index: ignored }),
          },
          outputs: count,
        }));
    });
