import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PergradError } from "../../src/errors.js";
import { families } from "../../src/ops/registry.js";
import { elementwiseTable, newer, runtimeDeviates } from "../support/elementwise-cases.js";
import { checkComputed, emittedOf } from "../support/graph-checks.js";
import { checkBatch, checkDerivative, checkRuntime, checkSampleAxis } from "../support/op-checks.js";

describe("the table of cases", () => {
  it("holds every operator of these families", () => {
    const { activations, exponential, trigonometric, logic, reductions, softmax, normalisation } = families;
    const more = families["more-activations"];
    const ops = [activations, more, exponential, trigonometric, logic, reductions, softmax, normalisation].flat();
    expect(Object.keys(elementwiseTable).sort()).toEqual(ops.map(({ op }) => op).sort());
  });
});

describe.each(Object.entries(elementwiseTable))("%s", (op, cases) => {
  it("has the derivative that differences show", () => {
    fc.assert(
      fc.property(cases, (test) => checkDerivative(test)),
      { numRuns: 60 },
    );
  });

  it("takes one more leading axis", () => {
    fc.assert(
      fc.property(
        cases,
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
        checkBatch,
      ),
      { numRuns: 60 },
    );
  });

  it("keeps samples apart along its sample axis, or refuses", () => {
    let accepted = 0;
    fc.assert(
      fc.property(cases, fc.nat(3), fc.constantFrom(0, 2, 3), (test, at, samples) => {
        const rank = test.inputs[0]?.dims.length ?? 0;
        fc.pre(rank > 0);
        try {
          checkSampleAxis(test, at % rank, samples);
          accepted++;
        } catch (error) {
          // SHAPE_MISMATCH: a shared operand that does not broadcast along the batch.
          expect(["SAMPLES_INTERACT", "SHAPE_MISMATCH"], String(error)).toContain((error as PergradError).code);
        }
      }),
      { numRuns: 60 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it("computes what ONNX Runtime computes", async (context) => {
    if (newer.includes(op)) return context.skip("the opset that programs are emitted in does not have this operator");
    const fair = cases.filter((test) => !runtimeDeviates[op]?.(test));
    await fc.assert(
      fc.asyncProperty(fc.array(fair, { minLength: 15, maxLength: 15 }), (tests) => checkRuntime(tests)),
      { numRuns: 3 },
    );
  });

  it("is emitted as ONNX Runtime runs it", async () => {
    // Files hold no float64: the loader makes it float32.
    const emitted = cases.filter(({ attributes }) => attributes?.to !== "float64");
    const property = fc.asyncProperty(fc.array(emitted, { minLength: 15, maxLength: 15 }), (tests) =>
      checkComputed(tests.map((test, k) => emittedOf(test, `c${k}_`))),
    );
    await fc.assert(property, { numRuns: 3 });
  });
});
