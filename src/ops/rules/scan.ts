/**
 * Scan: a loop over time whose steps are a graph of their own. In our graphs it has one form. Its inputs are the states,
 * then the values that are scanned along axis 0, then those that the body captures from outside. Its outputs are the
 * last states; the results of each step, stacked along axis 0; and, for the backward pass, the matrix products of each
 * step (or sums with them), and every state before each step. Outputs that nothing reads are not emitted. The files beside this one say how
 * it is differentiated (scan-reverse) and batched (scan-vmap), and where it carries the samples (scan-axes).
 */

import type { Array64 } from "../../float64/array64.js";
import { array64 } from "../../float64/array64.js";
import { closeOver } from "../../graph/body.js";
import { type Dim, factorOf, isBatch, type Shape, sameShape, showShape } from "../../graph/dim.js";
import { inputsOf, outputOf } from "../../graph/operands.js";
import { leaf, type Node, type Value, type ValueType } from "../../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs, readersOf } from "../../graph/walk.js";
import { nth } from "../../present.js";
import type { BodyEvaluate } from "../body-rules.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { interaction, part, requireInput, shapeMismatch } from "../checks.js";
import { type ScanParts, scanParts } from "./scan-parts.js";

/** The tensors that a Scan starts from and reads. */
export interface ScanSpec {
  /** The states before the first step. */
  readonly initial: readonly Value[];
  /** Read slice by slice along axis 0. */
  readonly scanned: readonly Value[];
  /** Whether it runs from the end to the start. Results are stacked in the order of time in both cases. */
  readonly reverse?: boolean;
  readonly name?: string;
}

export interface ScanResults {
  /** The states after the last step. */
  readonly states: readonly Value[];
  /** `[T, ...]` */
  readonly stacked: readonly Value[];
  /** The states before each step, `[T, ...]`. */
  readonly before: readonly Value[];
}

/** Computes the next states of a step, and its results. */
export type ScanStep = (
  states: readonly Value[],
  slices: readonly Value[],
) => { readonly states: readonly Value[]; readonly results: readonly Value[] };

/** A step whose leaves stand for its states and slices. */
export interface Stepped {
  readonly states: readonly Value[];
  readonly slices: readonly Value[];
  /** The states after the step. */
  readonly next: readonly Value[];
  readonly results: readonly Value[];
}

/** Computes the step from new leaves. */
export function stepped({ initial, scanned }: ScanSpec, step: ScanStep): Stepped {
  const states = initial.map(({ name, dtype, shape }) => leaf(name, { dtype, shape }, { kind: "input" }));
  const slices = scanned.map(({ name, dtype, shape }) =>
    leaf(name, { dtype, shape: shape.slice(1) }, { kind: "input" }),
  );
  const given = step(states, slices);
  return { states, slices, next: given.states, results: given.results };
}

/** A Scan whose step is a function of states and slices. It may also read values from outside. */
export function scan(build: Build, spec: ScanSpec, step: ScanStep): ScanResults {
  return scanOf(build, spec, stepped(spec, step));
}

/** A Scan of a step computed from leaves that stand for the states and the slices. */
export function scanOf(
  build: Build,
  { initial, reverse = false, name = "", ...given }: ScanSpec,
  step: Stepped,
): ScanResults {
  const { states, next, results } = step;
  const outputs = [...next, ...results];
  const { scanned, slices } = whatIsRead(build, given.scanned, step);
  const leaves = [...states, ...slices];
  const products = productsIn(leaves, outputs);
  const { body, captured } = closeOver(leaves, [...outputs, ...products]);
  const direction = reverse ? 1 : 0;
  const attributes = {
    body,
    states: states.length,
    num_scan_inputs: slices.length,
    products: products.length,
    scan_input_directions: slices.map(() => direction),
    scan_output_directions: [...results, ...products, ...states].map(() => direction),
  };
  const count = outputs.length + products.length + states.length;
  const node = build.node("Scan", [...initial, ...scanned, ...captured], attributes, count, { name });
  return {
    states: node.outputs.slice(0, states.length),
    stacked: node.outputs.slice(states.length, outputs.length),
    before: node.outputs.slice(count - states.length),
  };
}

/**
 * The scanned values that a step reads: the others affect neither the results nor where they carry the samples. If a
 * step reads none, the numbers of the steps say how many steps there are.
 */
function whatIsRead(build: Build, scanned: readonly Value[], { states, slices, next, results }: Stepped) {
  const read = valuesRead([...next, ...results], new Set([...states, ...slices]));
  const places = slices.flatMap((slice, k) => (read.has(slice) ? [k] : []));
  const [steps] = scanned.map(({ shape }) => shape[0]);
  if (places.length > 0 || typeof steps !== "number")
    return { scanned: places.map((k) => nth(scanned, k)), slices: places.map((k) => nth(slices, k)) };
  const numbers = build.ints([...Array(steps).keys()]);
  return { scanned: [numbers], slices: [leaf("", { dtype: numbers.dtype, shape: [] }, { kind: "input" })] };
}

/** All values that the outputs depend on. */
function valuesRead(outputs: readonly Value[], leaves: ReadonlySet<Value>): Set<Value> {
  return new Set([...outputs, ...nodesBefore(outputs, leaves).flatMap(presentInputs)]);
}

/**
 * The values that are expensive to recompute: products of matrices that depend on the step. Where nothing but a sum of
 * the same shape reads a product, the sum: then a backward pass neither adds again nor reads the other terms.
 */
function productsIn(leaves: readonly Value[], outputs: readonly Value[]): Value[] {
  const nodes = nodesBefore(outputs, new Set(leaves));
  const inside = dependentsOf(leaves, nodes);
  const readers = readersOf(nodes, outputs);
  const sums = new Map(
    nodes.flatMap((node) => (node.op === "Add" ? inputsOf(node, 2).map((term) => [term, outputOf(node, 0)]) : [])),
  );
  const summed = (value: Value): Value => {
    const sum = readers.get(value) === 1 ? sums.get(value) : undefined;
    return sum && !outputs.includes(sum) && sameShape(sum.shape, value.shape) ? summed(sum) : value;
  };
  const found = nodes.flatMap(({ op, outputs: [product] }) =>
    product && costly.has(op) && inside.has(product) && !outputs.includes(product) ? [summed(product)] : [],
  );
  return [...new Set(found)];
}

const costly = new Set(["MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose"]);

/** Groups the outputs of a Scan node, or items that belong to them, by kind. */
export function splitOutputs<T>(outputs: readonly T[], { states, products }: ScanParts) {
  const end = outputs.length - states;
  return {
    states: outputs.slice(0, states),
    stacked: outputs.slice(states, end - products),
    products: outputs.slice(end - products, end),
    before: outputs.slice(end),
  };
}

function stepsOf(call: Call, { states, scans }: ScanParts): Dim {
  const steps = call.inputs.slice(states, states + scans).map((_, k) => requireInput(call, states + k).shape[0]);
  const [first] = steps;
  if (first === undefined) throw shapeMismatch(call, "scans nothing, so it has no number of steps");
  if (
    steps.some(
      (other) => other === undefined || isBatch(other) !== isBatch(first) || factorOf(other) !== factorOf(first),
    )
  )
    throw shapeMismatch(call, `scans tensors of different lengths`);
  if (isBatch(first)) throw interaction(call, "steps from sample to sample");
  return first;
}

export function inferScan(call: Call): ValueType[] {
  const parts = scanParts(call);
  const { body, states } = parts;
  const steps = stepsOf(call, parts);
  body.inputs.forEach(({ dtype, shape }, k) => {
    const given = requireInput(call, k);
    const own = k >= states && k < states + parts.scans ? given.shape.slice(1) : given.shape;
    if (dtype !== given.dtype || !sameShape(own, shape))
      throw shapeMismatch(part(call, "the body"), `expects ${showShape(shape)}, but is given ${showShape(own)}`);
  });
  const stack = ({ dtype, shape }: Value): ValueType => ({ dtype, shape: [steps, ...shape] });
  const last = body.outputs.slice(0, states);
  last.forEach((value, k) => {
    const before = nth(body.inputs, k);
    if (!sameShape(value.shape, before.shape) || value.dtype !== before.dtype)
      throw shapeMismatch(
        part(call, `the state ${k} ${showShape(before.shape)}`),
        `becomes ${showShape(value.shape)} in a step`,
      );
  });
  const types = last.map(({ dtype, shape }): ValueType => ({ dtype, shape }));
  return [...types, ...body.outputs.slice(states).map(stack), ...body.inputs.slice(0, states).map(stack)];
}

/** Slice `at` of a tensor along axis 0. */
function sliceOf({ dims, data }: Array64, at: number): Array64 {
  const size = dims.slice(1).reduce((product, dim) => product * dim, 1);
  return { dims: dims.slice(1), data: data.subarray(at * size, (at + 1) * size) };
}

/** How many samples the arrays hold; 1 if no shape depends on the batch. */
function samplesIn(values: readonly (Value | null)[], arrays: readonly (Array64 | null)[]): number {
  for (const [k, value] of values.entries()) {
    const axis = value?.shape.findIndex(isBatch) ?? -1;
    const size = arrays[k]?.dims[axis];
    if (axis >= 0 && size !== undefined) return size / factorOf(value?.shape[axis] ?? 1);
  }
  return 1;
}

/** The reference implementation, given a function that evaluates a body. */
export function evaluateScan(node: Node, inputs: readonly (Array64 | null)[], evaluateBody: BodyEvaluate): Array64[] {
  const { body, states, scans, inputDirections, outputDirections } = scanParts(node);
  const samples = samplesIn(node.inputs, inputs);
  const steps = inputs[states]?.dims[0] ?? 0;
  const at = (direction: number | undefined, step: number) => (direction ? steps - 1 - step : step);
  let current = inputs.slice(0, states) as Array64[];
  const stacks = node.outputs.slice(states).map((output) => emptyStack(output.shape, samples));
  for (let step = 0; step < steps; step++) {
    const feeds = new Map<Value, Array64>();
    body.inputs.forEach((input, k) => {
      const given = k < states ? current[k] : inputs[k];
      if (!given) return;
      const scanned = k >= states && k < states + scans;
      feeds.set(input, scanned ? sliceOf(given, at(inputDirections[k - states], step)) : given);
    });
    const results = evaluateBody(body.outputs, feeds, samples);
    [...results.slice(states), ...current].forEach((result, k) => {
      stacks[k]?.data.set(result.data, at(outputDirections[k], step) * result.data.length);
    });
    current = results.slice(0, states);
  }
  return [...current, ...stacks];
}

function emptyStack(shape: Shape, samples: number): Array64 {
  const dims = shape.map((dim) => (isBatch(dim) ? dim.perSample * samples : dim));
  return array64(dims, new Float64Array(dims.reduce((product, dim) => product * dim, 1)));
}
