/**
 * Moves computations out of a Scan's steps if they depend only on parameters and on slices that all samples share (a
 * row of a table of positions, or a step's own matrix, transposed). They are computed for all steps at once, outside
 * the loop, and their results are scanned. Inside the body, their derivatives would be summed over the samples, which a
 * per-sample gradient must keep apart.
 */
import { substitute } from "../../graph/body.js";
import type { Value } from "../../graph/value.js";
import { dependentsOf, leavesOf, nodesBefore, presentInputs } from "../../graph/walk.js";
import { leadingOf, nth } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { BodyBatch } from "../body-rules.js";
import type { Build } from "../build.js";
import { type ScanResults, type ScanSpec, type ScanStep, type Stepped, scanOf, stepped } from "./scan.js";
import { isShared, leafLike, mayBeTrained, statesApart } from "./scan-states.js";

/** Like `scan`, with the values that all samples share computed outside. */
export function scanApart(
  build: Build,
  whole: ScanSpec,
  batchBody: BodyBatch,
  step: ScanStep,
): Omit<ScanResults, "before"> {
  const { spec, step: own, last } = statesApart(build, whole, stepped(whole, step));
  const { states, slices, results } = own;
  const outside = sharedOutside(spec, own, batchBody);
  const stackOf = new Map([...slices.map((slice, k) => [slice, nth(spec.scanned, k)] as const), ...outside]);
  const varying = dependentsOf([...states, ...slices], nodesBefore(results, new Set([...states, ...slices])));
  const [steps] = leadingOf(nth(spec.scanned, 0).shape, 1);
  const ready = results.map((value) => {
    if (!isShared(value) || !isFloat(value.dtype)) return null;
    return stackOf.get(value) ?? (varying.has(value) ? null : build.expand(value, [steps, ...value.shape]));
  });
  const others = results.filter((_, k) => !ready[k]);
  const run = scanOf(
    build,
    { ...spec, scanned: [...spec.scanned, ...outside.values()] },
    withSlices({ ...own, results: others }, [...outside.keys()]),
  );
  // A value that samples share is already known for all steps, and is not computed per sample in the loop.
  const stacked = results.map((value, k) => ready[k] ?? nth(run.stacked, others.indexOf(value)));
  return { states: last(run.states), stacked };
}

/** The values of a step that all samples share, each with its values in all steps. */
function sharedOutside({ scanned }: ScanSpec, own: Stepped, batchBody: BodyBatch): Map<Value, Value> {
  const { slices } = own;
  if (!slices.some(isShared)) return new Map();
  const trained = new Set(slices.filter((slice, k) => isShared(slice) && isTrained(nth(scanned, k))));
  const shared = sharedResults(own, trained);
  const stacks = batchBody(shared, new Map(slices.map((slice, k) => [slice, nth(scanned, k)])));
  return new Map(
    shared.flatMap((value, k) => {
      const stack = stacks[k];
      return stack ? [[value, stack] as const] : [];
    }),
  );
}

/** The step, in which these values are read as slices. */
function withSlices(own: Stepped, values: readonly Value[]): Stepped {
  if (values.length === 0) return own;
  const leaves = values.map(leafLike);
  const replaced = new Map(values.map((value, k) => [value, nth(leaves, k)]));
  // They are computed together, so that shared parts are computed once.
  const outputs = substitute([...own.next, ...own.results], replaced);
  const count = own.next.length;
  return {
    states: own.states,
    slices: [...own.slices, ...leaves],
    next: outputs.slice(0, count),
    results: outputs.slice(count),
  };
}

/**
 * The last values that depend on parameters and the step, and on no sample.
 * @param trained the slices that are computed only from parameters and constants
 */
function sharedResults({ states, slices, next, results }: Stepped, trained: ReadonlySet<Value>): Value[] {
  const outputs = [...next, ...results];
  const nodes = nodesBefore(outputs, new Set([...states, ...slices]));
  const stepwise = dependentsOf(slices.filter(isShared), nodes);
  const varying = dependentsOf([...states, ...slices.filter((slice) => !isShared(slice))], nodes);
  const found = (value: Value) =>
    stepwise.has(value) && !varying.has(value) && !slices.includes(value) && isFloat(value.dtype) && reads(value);
  const reads = (value: Value) => {
    const leaves = leavesOf([value]);
    const counts = (each: Value) => (slices.includes(each) ? trained.has(each) : mayBeTrained(each));
    return leaves.some(counts) && leaves.every(isShared);
  };
  const read = nodes.flatMap((node) => (node.outputs.some(found) ? [] : presentInputs(node)));
  return [...new Set([...read, ...outputs])].filter(found);
}

/** Whether its inputs may include a parameter, and include nothing that holds samples. */
function isTrained(value: Value): boolean {
  const leaves = leavesOf([value]);
  return leaves.some(mayBeTrained) && leaves.every(isShared);
}
