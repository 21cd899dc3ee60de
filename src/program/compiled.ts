/** Traced expressions as programs. */
import { labelLimits } from "../analysis/label-limits.js";
import { lengthLimits } from "../analysis/length-limits.js";
import { PergradError } from "../errors.js";
import { isBatch, showShape } from "../graph/dim.js";
import type { Expected } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { encodeModel } from "../onnx/write/encode.js";
import { simplifyInFloat32 } from "../optimise/simplify.js";
import { entryOf, nth } from "../present.js";
import { defaultTarget } from "../target/default.js";
import type { RuntimeOptions, Session } from "../target/runtime.js";
import type { Data } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Traced } from "../trace/traced.js";
import { checkExpressionOptions, type ExpressionOptions, ResultsWatch } from "./expression-results.js";
import { prepare } from "./feeds.js";

/** Traced expressions, ready to run. */
export interface Compiled<T extends Readonly<Record<string, Traced>>> {
  /**
   * Computes the expressions. Non-finite results are reported as `options` say.
   * @param data inputs by name, and parameters that have no initial value or are to be replaced
   * @throws PergradError MISSING_TENSOR, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, and NOT_FINITE if that is
   *   asked for.
   */
  run(data: Readonly<Record<string, Data>>, options?: ExpressionOptions): Promise<{ readonly [K in keyof T]: Tensor }>;
  /** An ONNX model that computes the expressions; its outputs have their names. */
  encode(): Uint8Array;
  /** Frees the runtime's memory. */
  release(): Promise<void>;
}

/** See `compile`. */
export async function compiled<T extends Readonly<Record<string, Traced>>>(
  outputs: T,
  options: Pick<RuntimeOptions, "threads"> = {},
): Promise<Compiled<T>> {
  const names = Object.keys(outputs);
  const traced = Object.values(outputs).map(({ value }) => value);
  const watch = ResultsWatch.of(new Map(names.map((name, k) => [name, nth(traced, k)])));
  const values = sumsInBlocks(simplifyInFloat32([...traced, ...watch.added]));
  const leaves = leavesOf(values).filter(({ source }) => source.kind === "input" || source.kind === "parameter");
  checkNames(leaves);
  const named = values.map((value, k) => ({ name: names[k] ?? addedName(k - names.length), value }));
  const session = await defaultTarget.load({ inputs: leaves, outputs: named }, options);
  const [limits, labels] = [lengthLimits(traced), labelLimits(traced)];
  const expected = new Map<string, Expected>(
    leaves.map((value) => [value.name, { ...expectedOf(value, limits), labels: labels.get(value) }]),
  );
  // Leaves that the expressions name, even if nothing is computed from them.
  for (const value of leavesOf(traced)) {
    if (value.source.kind !== "input" || expected.has(value.name)) continue;
    expected.set(value.name, { ...expectedOf(value, limits), optional: true });
  }
  return {
    run: async (data, options = {}) => {
      checkExpressionOptions(options);
      const returned = await runOn(session, expected, data);
      const results = Object.fromEntries(names.map((name) => [name, entryOf(returned, name)]));
      const counted = watch.added.map((_, k) => entryOf(returned, addedName(k)));
      watch.report(watch.find(results, counted), options);
      return results as { readonly [K in keyof T]: Tensor };
    },
    encode: () => encodeModel(defaultTarget.adapt({ inputs: leaves, outputs: named.slice(0, names.length) })),
    release: () => session.release(),
  };
}

/** The name of a result that is computed only to look for NaN. */
const addedName = (k: number): string => `/hidden/${k}`;

function checkNames(leaves: readonly Value[]): void {
  const twice = leaves.find((value, k) => leaves.findIndex((other) => other.name === value.name) !== k);
  if (!twice) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `Two inputs or parameters ${showShape(twice.shape)} are named "${twice.name}"; rename one.`,
  );
}

function expectedOf(value: Value, limits: ReadonlyMap<Value, number>): Expected {
  const axis = value.shape.findIndex(isBatch);
  return { value, sampleAxis: axis < 0 ? null : axis, atMost: limits.get(value) };
}

async function runOn(
  session: Session,
  expected: ReadonlyMap<string, Expected>,
  data: Readonly<Record<string, Data>>,
): Promise<Record<string, Tensor>> {
  const initial: Record<string, Data> = {};
  for (const [name, { value }] of expected) {
    if (value.source.kind === "parameter" && value.source.initial) initial[name] = value.source.initial;
  }
  const { feeds } = prepare({ ...initial, ...data }, expected, true);
  return session.run(
    Object.fromEntries(Object.entries(feeds).filter(([name]) => expected.get(name)?.optional !== true)),
  );
}
