/**
 * What a step of a Scan computes of parameters alone, and of what all samples share of that step (a row of a table of
 * positions, a matrix of its own, transposed), is computed for all steps at once outside, and scanned. In the body its
 * derivative would be summed over the samples, which a per-sample gradient keeps apart.
 */
import { substitute } from "../../graph/body.js";
import { isBatch } from "../../graph/dim.js";
import { leaf, type Value } from "../../graph/value.js";
import { dependentsOf, leavesOf, nodesBefore, presentInputs } from "../../graph/walk.js";
import { leadingOf, nth } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { BodyBatch } from "../body-rules.js";
import type { Build } from "../build.js";
import { type ScanResults, type ScanSpec, type ScanStep, scan } from "./scan.js";

/** As `scan`, with what its steps share computed outside. */
export function scanApart(build: Build, spec: ScanSpec, batchBody: BodyBatch, step: ScanStep): ScanResults {
  const { initial, scanned } = spec;
  const leafFor = ({ name, dtype }: Value, shape: Value["shape"]) => leaf(name, { dtype, shape }, { kind: "input" });
  const slices = scanned.map((value) => leafFor(value, value.shape.slice(1)));
  const states = initial.map((value) => leafFor(value, value.shape));
  const { states: next, results } = step(states, slices);
  const trained = new Set(slices.filter((slice, k) => isShared(slice) && isTrained(nth(scanned, k))));
  const shared = sharedResults([...next, ...results], { states, slices, trained });
  const stacks = batchBody(shared, new Map(slices.map((slice, k) => [slice, nth(scanned, k)])));
  const outside = shared.flatMap((value, k) => {
    const stack = stacks[k];
    return stack ? [{ value, stack }] : [];
  });
  const leaves = [...states, ...slices, ...outside.map(({ value }) => value)];
  const stackOf = new Map([
    ...slices.map((slice, k) => [slice, nth(scanned, k)] as const),
    ...outside.map(({ value, stack }) => [value, stack] as const),
  ]);
  const varying = dependentsOf([...states, ...slices], nodesBefore(results, new Set([...states, ...slices])));
  const [steps] = leadingOf(nth(scanned, 0).shape, 1);
  const ready = results.map((value) => {
    if (!isShared(value) || !isFloat(value.dtype)) return null;
    return stackOf.get(value) ?? (varying.has(value) ? null : build.expand(value, [steps, ...value.shape]));
  });
  const others = results.filter((_, k) => !ready[k]);
  const all = [...next, ...others];
  const run = scan(build, { ...spec, scanned: [...scanned, ...outside.map(({ stack }) => stack)] }, (before, given) => {
    const current = [...before, ...given];
    const outputs = substitute(all, new Map(leaves.map((value, k) => [value, nth(current, k)])));
    return { states: outputs.slice(0, next.length), results: outputs.slice(next.length) };
  });
  // What samples share of each step is at hand, and has no samples to be kept apart in the loop.
  const stacked = results.map((value, k) => ready[k] ?? nth(run.stacked, others.indexOf(value)));
  return { states: run.states, stacked };
}

/** The leaves of a step. */
interface Leaves {
  readonly states: readonly Value[];
  readonly slices: readonly Value[];
  /** The slices that are computed of parameters alone. */
  readonly trained: ReadonlySet<Value>;
}

/** What comes last of that which depends on parameters and the step, and on no sample. */
function sharedResults(outputs: readonly Value[], { states, slices, trained }: Leaves): Value[] {
  const nodes = nodesBefore(outputs, new Set([...states, ...slices]));
  const stepwise = dependentsOf(slices.filter(isShared), nodes);
  const varying = dependentsOf([...states, ...slices.filter((slice) => !isShared(slice))], nodes);
  const found = (value: Value) =>
    stepwise.has(value) && !varying.has(value) && !slices.includes(value) && isFloat(value.dtype) && reads(value);
  const reads = (value: Value) => {
    const leaves = leavesOf([value]);
    return leaves.some((each) => isParameter(each) || trained.has(each)) && leaves.every(isShared);
  };
  const read = nodes.flatMap((node) => (node.outputs.some(found) ? [] : presentInputs(node)));
  return [...new Set([...read, ...outputs])].filter(found);
}

const isShared = ({ shape }: Value): boolean => !shape.some(isBatch);

const isParameter = ({ source }: Value): boolean => source.kind === "parameter";

/** Whether there is a parameter among what it is computed of, and nothing that holds samples. */
function isTrained(value: Value): boolean {
  const leaves = leavesOf([value]);
  return leaves.some(isParameter) && leaves.every(isShared);
}
