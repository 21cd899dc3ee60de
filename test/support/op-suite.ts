/** The checks that every operator of a family passes, over random cases. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PergradError } from "../../src/errors.js";
import { batchOf, checkComputed, derivativeOf, emittedOf } from "./graph-checks.js";
import { checkBatch, checkDerivative, checkRuntime, checkSampleAxis, type OpCase } from "./op-checks.js";

export type Cases = fc.Arbitrary<OpCase>;

export interface Suite {
  readonly cases: Cases;
  /** Where ONNX Runtime does not support a case, or leaves the specification. */
  readonly notInRuntime?: (test: OpCase) => boolean;
  /** Not differentiable. */
  readonly integer?: boolean;
  /** Indices into the whole tensor, so that a batch of results is not the results of a loop. */
  readonly global?: boolean;
  /** Why ONNX Runtime's kernel is not compared with the reference: it has none, or programs never use it. */
  readonly noKernel?: string;
  /** Programs hold other operators where `notInRuntime` applies, so that all cases run. */
  readonly inParts?: boolean;
  /** How many cases are compared with differences, where each takes long. Default 60. */
  readonly derivatives?: number;
  /** No case has a sample axis that samples stay apart along. */
  readonly neverApart?: boolean;
}

/** INVALID_ARGUMENT: an index that the data of `checkSampleAxis` puts outside. */
const refusals = ["SAMPLES_INTERACT", "SHAPE_MISMATCH", "UNSUPPORTED_OP", "INVALID_ARGUMENT"];
const flags = fc.array(fc.boolean(), { minLength: 5, maxLength: 5 });
const runs = { numRuns: 60 };

function apart(test: OpCase, axis: number): boolean {
  try {
    checkSampleAxis(test, axis);
    return true;
  } catch (error) {
    expect(refusals, String(error)).toContain((error as PergradError).code);
    return false;
  }
}

function refused<T>(make: () => T): T[] {
  try {
    return [make()];
  } catch (error) {
    expect("UNSUPPORTED_OP", String(error)).toContain((error as PergradError).code);
    return [];
  }
}

export function describeOp(op: string, suite: Suite): void {
  const { cases, notInRuntime = () => false } = suite;
  const many = fc.array(
    cases.filter((test) => !notInRuntime(test)),
    { minLength: 15, maxLength: 15 },
  );
  describe(op, () => {
    it("has the derivative that differences show", (context) => {
      if (suite.integer) return context.skip("its results are integers, which have no derivative");
      fc.assert(
        fc.property(cases, (test) => checkDerivative(test)),
        { numRuns: suite.derivatives ?? runs.numRuns },
      );
    });

    it("takes one more leading axis", (context) => {
      if (suite.global) return context.skip("its indices count through the whole tensor, so they differ from a loop's");
      fc.assert(
        fc.property(cases, fc.integer({ min: 1, max: 3 }), flags, (test, size, marks) => {
          refused(() => checkBatch(test, size, marks));
        }),
        runs,
      );
    });

    it("keeps samples apart along its sample axis, or refuses", () => {
      let accepted = 0;
      const property = fc.property(cases, fc.nat(4), (test, at) => {
        const rank = Math.max(
          ...test.inputs.map((input) => (input?.constant || input?.shared ? 0 : (input?.dims.length ?? 0))),
        );
        if (rank > 0 && apart(test, at % rank)) accepted++;
      });
      fc.assert(property, { numRuns: 200 });
      if (!suite.neverApart) expect(accepted).toBeGreaterThan(0);
    });

    it("computes what ONNX Runtime computes", async (context) => {
      if (suite.noKernel) return context.skip(suite.noKernel);
      await fc.assert(
        fc.asyncProperty(many, (tests) => checkRuntime(tests)),
        { numRuns: 3 },
      );
    });

    it("is emitted as ONNX Runtime runs it", async () => {
      const runnable = suite.inParts ? fc.array(cases, { minLength: 15, maxLength: 15 }) : many;
      const property = fc.asyncProperty(runnable, (tests) =>
        checkComputed(tests.map((test, k) => emittedOf(test, `c${k}_`))),
      );
      await fc.assert(property, { numRuns: 3 });
    });

    it("is differentiated and batched by graphs that ONNX Runtime runs", async () => {
      const property = fc.asyncProperty(
        many,
        fc.array(flags, { minLength: 15, maxLength: 15 }),
        async (tests, marks) => {
          await checkComputed(tests.flatMap((test, k) => refused(() => derivativeOf(test, `c${k}_`))));
          await checkComputed(tests.flatMap((test, k) => refused(() => batchOf(test, marks[k] ?? [], `c${k}_`))));
        },
      );
      await fc.assert(property, { numRuns: 3 });
    });
  });
}
