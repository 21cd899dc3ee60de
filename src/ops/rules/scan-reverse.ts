/**
 * The backward pass of a Scan, which is itself a Scan in the opposite direction of time. The contraction that gives a
 * weight's gradient is moved out of the loop: its operands are stacked over the steps and contracted once outside, with
 * time as one more summed axis.
 */

import { substitute } from "../../graph/body.js";
import { fixedSize, isBatch } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { dependentsOf, nodesBefore } from "../../graph/walk.js";
import { nth, present } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { BodyReverse } from "../body-rules.js";
import { type Cotangent, isValue } from "../cotangent.js";
import { splitOutputs } from "./scan.js";
import { type ScanParts, scanParts } from "./scan-parts.js";
import { scanApart } from "./scan-shared.js";
import { ofEachStep, overSteps } from "./scan-steps.js";

/** For each input of a Scan, the parts that add up to its cotangent. */
export function pullScan(
  node: Node,
  cotangents: readonly (Value | null)[],
  wanted: readonly boolean[],
  body: BodyReverse,
): (readonly Cotangent[])[] {
  return new Backward(node, cotangents, wanted, body).emit();
}

/** A value of each step, and its values in all steps, stacked along axis 0. */
interface Stacked {
  readonly value: Value;
  readonly stack: Value;
}

class Backward {
  readonly #parts: ScanParts;
  readonly #states: readonly Value[];
  readonly #slices: readonly Value[];
  readonly #captured: readonly Value[];
  /** The states through which cotangents flow. */
  readonly #active: readonly Value[];
  /**
   * Slices that all samples share. Their cotangents must remain separate for each sample, so they are left as the rules
   * state them.
   */
  readonly #shared: readonly Value[];
  /** Whether the forward scan runs in the direction of time. */
  readonly #forwards: boolean;
  /** The values that the forward scan read or kept at each step. */
  readonly #known: readonly Stacked[];
  /** Results of each step, and those of its products that a backward pass has read, with their cotangents. */
  readonly #seeds: readonly Stacked[];
  /** The states before each step, with the cotangents that they received from backward passes that read them. */
  readonly #before: readonly Stacked[];

  constructor(
    readonly node: Node,
    readonly cotangents: readonly (Value | null)[],
    readonly wanted: readonly boolean[],
    readonly inBody: BodyReverse,
  ) {
    const parts = scanParts(node);
    const { body, states, scans, inputDirections, outputDirections } = parts;
    this.#parts = parts;
    this.#states = body.inputs.slice(0, states);
    this.#slices = body.inputs.slice(states, states + scans);
    this.#captured = body.inputs.slice(states + scans);
    this.#active = activeStates(parts, wanted);
    this.#forwards = inputDirections[0] !== 1;
    const hasSamples = node.outputs.some(({ shape }) => shape.some(isBatch));
    this.#shared = this.#slices.filter(
      ({ dtype, shape }, k) => hasSamples && wanted[states + k] && isFloat(dtype) && !shape.some(isBatch),
    );
    const outputs = splitOutputs(node.outputs, parts);
    const directions = splitOutputs([...this.#states.map(() => 0), ...outputDirections], parts);
    const results = splitOutputs([...body.outputs, ...this.#states], parts);
    const stackedAs = (
      values: readonly Value[],
      stacks: readonly (Value | null | undefined)[],
      ways: readonly number[],
    ) =>
      values.flatMap((value, k) => {
        const stack = stacks[k];
        return stack ? [{ value, stack: this.#ordered(stack, ways[k]) }] : [];
      });
    this.#known = [
      ...stackedAs(this.#slices, node.inputs.slice(states), inputDirections),
      ...stackedAs(this.#states, outputs.before, directions.before),
      ...stackedAs(results.products, outputs.products, directions.products),
    ];
    const given = splitOutputs(cotangents, parts);
    const differentiable = ({ value }: Stacked) => isFloat(value.dtype);
    this.#seeds = [
      ...stackedAs(results.stacked, given.stacked, directions.stacked),
      ...stackedAs(results.products, given.products, directions.products),
    ].filter(differentiable);
    this.#before = stackedAs(this.#states, given.before, directions.before).filter(differentiable);
  }

  /**
   * A stack in the order of the forward scan's steps: it is reversed if its direction differs from that of the first
   * scanned input.
   */
  #ordered(stack: Value, direction: number | undefined): Value {
    return (direction !== 1) === this.#forwards
      ? stack
      : this.inBody.build.slice(stack, 0, -1, Number.MIN_SAFE_INTEGER, -1);
  }

  emit(): (readonly Cotangent[])[] {
    const { build, reverse, emit } = this.inBody;
    const { states, scans } = this.#parts;
    const final = splitOutputs(this.cotangents, this.#parts).states;
    const initial = this.#active.map(
      (state) => final[this.#states.indexOf(state)] ?? build.zeros(state.shape, state.dtype),
    );
    const slices = this.#slices.filter(
      (value, k) => this.wanted[states + k] && isFloat(value.dtype) && !this.#shared.includes(value),
    );
    let lazy = new Map<Value, readonly Cotangent[]>();
    let operands: readonly Value[] = [];
    const spec = {
      initial,
      scanned: [...this.#known, ...this.#seeds, ...this.#before].map(({ stack }) => stack),
      reverse: this.#forwards,
      name: this.node.name,
    };
    const result = scanApart(build, spec, this.inBody.batch, (cotangents, given) => {
      const left = [...this.#captured, ...this.#shared];
      const found = reverse(this.#seedsOfStep(cotangents, given), this.#targets(), new Set(left));
      const inside = new Map(this.#known.map(({ value }, k) => [value, nth(given, k)]));
      const inStep = (value: Value) => nth(substitute([value], new Map([...this.#outer(), ...inside])), 0);
      const cotangentOf = (value: Value) => {
        const cotangent = found.get(value)?.[0];
        return cotangent ? inStep(emit(cotangent)) : build.zeros(value.shape, value.dtype);
      };
      lazy = new Map(left.map((value) => [value, found.get(value) ?? []]));
      operands = this.#operandsOfSteps([...lazy.values()].flat(), [...cotangents, ...given]);
      return {
        states: this.#active.map((state) => this.#withBefore(state, cotangentOf(state), given)),
        results: [...operands.map(inStep), ...slices.map(cotangentOf)],
      };
    });
    const stackOf = new Map([...operands, ...slices].map((value, k) => [value, nth(result.stacked, k)] as const));
    const lifted = new Map([
      ...this.#known.map(({ value, stack }) => [value, stack] as const),
      ...operands.map((value) => [value, present(stackOf.get(value))] as const),
    ]);
    const outside = (value: Value) => nth(substitute([value], this.#outer()), 0);
    const direction = this.#parts.inputDirections;
    const inSteps = { steps: fixedSize(nth(spec.scanned, 0).shape, 0), stacks: lifted, outside };
    return this.#parts.body.inputs.map((input, k) => {
      if (!this.wanted[k]) return [];
      if (k < states) return this.#active.includes(input) ? [nth(result.states, this.#active.indexOf(input))] : [];
      const slice = stackOf.get(input);
      const parts = lazy.get(input) ?? [];
      if (this.#shared.includes(input)) return parts.map((each) => ofEachStep(build, each, inSteps));
      if (k < states + scans) return slice ? [this.#ordered(slice, direction[k - states])] : [];
      return parts.map((each) => overSteps(build, each, inSteps));
    });
  }

  /** The values outside the body that the captured ones stand for. */
  #outer(): Map<Value, Value> {
    const first = this.#parts.states + this.#parts.scans;
    return new Map(this.#captured.map((value, k) => [value, inputOf(this.node, first + k)]));
  }

  /**
   * The cotangents of the body's outputs: those carried over from the following step, and those of the step's results.
   */
  #seedsOfStep(carried: readonly Value[], given: readonly Value[]): Map<Value, Value> {
    const seeds = new Map<Value, Value>();
    const add = (value: Value, seed: Value) => {
      const before = seeds.get(value);
      seeds.set(value, before ? this.inBody.build.add(before, seed) : seed);
    };
    this.#active.forEach((state, k) => {
      add(nth(this.#parts.body.outputs, this.#states.indexOf(state)), nth(carried, k));
    });
    this.#seeds.forEach(({ value }, k) => {
      add(value, nth(given, this.#known.length + k));
    });
    return seeds;
  }

  /** The cotangent of a state before a step, including what it receives as a result of its own. */
  #withBefore(state: Value, cotangent: Value, given: readonly Value[]): Value {
    const at = this.#before.findIndex(({ value }) => value === state);
    if (at < 0) return cotangent;
    return this.inBody.build.add(cotangent, nth(given, this.#known.length + this.#seeds.length + at));
  }

  #targets(): Set<Value> {
    return new Set(
      this.#parts.body.inputs.filter(
        (value, k) => isFloat(value.dtype) && (this.#active.includes(value) || this.wanted[k]),
      ),
    );
  }

  /** The operands of contractions that differ between steps and have not been stacked yet. */
  #operandsOfSteps(lazy: readonly Cotangent[], given: readonly Value[]): Value[] {
    const all = [...new Set(lazy.flatMap(operandsOf))];
    const varying = new Set([...this.#states, ...this.#slices, ...given]);
    const dependent = dependentsOf(varying, nodesBefore(all, varying));
    const known = new Set(this.#known.map(({ value }) => value));
    return all.filter((value) => dependent.has(value) && !known.has(value));
  }
}

/** The states through which cotangents flow: those that depend on a wanted value. */
function activeStates({ body, states }: ScanParts, wanted: readonly boolean[]): Value[] {
  const leaves = body.inputs.slice(0, states);
  const after = body.outputs.slice(0, states);
  const nodes = nodesBefore(after, new Set(body.inputs));
  let sources = body.inputs.filter(({ dtype }, k) => wanted[k] && isFloat(dtype));
  for (;;) {
    const dependent = dependentsOf(sources, nodes);
    const more = leaves.filter(
      (state, k) => isFloat(state.dtype) && dependent.has(nth(after, k)) && !sources.includes(state),
    );
    if (more.length === 0) return leaves.filter((state) => sources.includes(state));
    sources = [...sources, ...more];
  }
}

function operandsOf(cotangent: Cotangent): Value[] {
  if (isValue(cotangent)) return [cotangent];
  switch (cotangent.kind) {
    case "reduction":
      return [cotangent.value];
    case "contraction":
      return [cotangent.left, cotangent.right];
    case "convolution":
      return [cotangent.data, cotangent.cotangent];
    case "rows":
      return [cotangent.indices, cotangent.cotangent];
  }
}
