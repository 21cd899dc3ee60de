/**
 * Reverse mode: walks a graph from its outputs to chosen values, applying each op's vector-Jacobian product. The mode
 * decides what a cotangent *is*: a tensor (`plain`), or a tensor on the data path and a factored gradient at values
 * that samples share (per-sample.ts).
 */

import { Ranges } from "../analysis/ranges.js";
import { PergradError } from "../errors.js";
import { sameShape } from "../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../graph/operands.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs } from "../graph/walk.js";
import type { BodyReverse } from "../ops/body-rules.js";
import type { Build } from "../ops/build.js";
import type { Cotangent } from "../ops/cotangent.js";
import type { Restated } from "../ops/definition.js";
import { hasBounds } from "../ops/range.js";
import { build, definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import { absorbZeros } from "./absorb.js";
import { emitCotangent } from "./emit-cotangent.js";
import { batchOver } from "./vmap.js";

export interface Mode<G> {
  readonly build: Build;
  /** The cotangents of a node's inputs, given those of its outputs (null: the loss does not depend on it). */
  pull(
    node: Node,
    cotangents: readonly (G | null)[],
    wanted: readonly boolean[],
    ranges: Ranges,
  ): readonly (G | null)[];
  /** The sum of the cotangents that reach a value along several paths; there is at least one. */
  accumulate(value: Value, parts: readonly G[]): G;
}

/**
 * The cotangents of `targets`, given those of some outputs. A target that no output depends on is left out. The walk
 * stops at `boundary`. `ranges` shows where derivatives may not be finite.
 * @throws PergradError UNSUPPORTED_OP, naming the nodes, if ops on the way have no derivative rule.
 */
export function reverse<G>(
  seeds: ReadonlyMap<Value, G>,
  targets: ReadonlySet<Value>,
  mode: Mode<G>,
  ranges: Ranges = Ranges.before([...seeds.keys()]),
  boundary: ReadonlySet<Value> = new Set(),
): Map<Value, G> {
  const outputs = [...seeds.keys()];
  const order = nodesBefore(outputs, boundary);
  const needed = dependentsOf(targets, order);
  refuseWithoutRule(order, outputs, needed);
  const stops = new Set([...targets, ...boundary]);
  const parts = new Map<Value, G[]>();
  const push = (value: Value, part: G) => {
    const known = parts.get(value);
    if (known) known.push(part);
    else parts.set(value, [part]);
  };
  const total = (value: Value): G | null => {
    const found = parts.get(value);
    return found ? mode.accumulate(value, found) : null;
  };
  for (const [value, seed] of seeds) push(value, seed);
  for (const node of [...order].reverse()) {
    const wanted = node.inputs.map((input) => input !== null && needed.has(input));
    if (!wanted.includes(true)) continue;
    const cotangents = node.outputs.map(total);
    if (cotangents.every((cotangent) => cotangent === null)) continue;
    const restated = restatement(node, mode.build, (value) => needed.has(value) && !stops.has(value));
    if (restated) {
      const seed = new Map([[restated.value, cotangents[0] as G]]);
      const found = reverse(seed, new Set([restated.input]), mode, ranges, new Set([restated.input])).get(
        restated.input,
      );
      if (found !== undefined) push(restated.input, found);
      continue;
    }
    pullNode(node, cotangents, wanted, mode, ranges).forEach((cotangent, k) => {
      const input = node.inputs[k];
      if (cotangent !== null && input && wanted[k]) push(input, cotangent);
    });
  }
  const found = new Map<Value, G>();
  for (const target of targets) {
    const cotangent = total(target);
    if (cotangent !== null) found.set(target, cotangent);
  }
  return found;
}

/** The form in which a node is differentiated, if that differs. Not used if the walk must reach a value in between. */
function restatement(node: Node, build: Build, passed: (value: Value) => boolean): Restated | null {
  const restated = definitionOf(node)?.restate?.(node, build);
  if (!restated) return null;
  const between = nodesBefore(node.outputs, new Set([restated.input])).filter((each) => each !== node);
  return between.every(({ outputs }) => outputs.every(passed)) ? restated : null;
}

/** A composite op is differentiated through its decomposition; the mode differentiates any other. */
function pullNode<G>(
  node: Node,
  cotangents: readonly (G | null)[],
  wanted: readonly boolean[],
  mode: Mode<G>,
  ranges: Ranges,
): readonly (G | null)[] {
  const definition = definitionOf(node);
  if (!definition?.decompose) return mode.pull(node, cotangents, wanted, ranges);
  if (mode.build.strategy.holdLess && definition.elementwise && node.inputs.length === 1)
    return [bySlope(node, present(cotangents[0]), mode, ranges)];
  const seeds = new Map<Value, G>();
  definition.decompose(node, mode.build.inside(node)).forEach((output, k) => {
    const cotangent = cotangents[k];
    if (cotangent !== null && cotangent !== undefined) seeds.set(output, cotangent);
  });
  const targets = new Set(node.inputs.filter((input, k): input is Value => input !== null && wanted[k] === true));
  const found = reverse(seeds, targets, mode, ranges, new Set(presentInputs(node)));
  // An input that is used twice gets its cotangent once.
  return node.inputs.map((input, k) => (input && node.inputs.indexOf(input) === k ? (found.get(input) ?? null) : null));
}

/** Through an element-wise function of one value: the cotangent times the slope at each element. */
function bySlope<G>(node: Node, cotangent: G, mode: Mode<G>, ranges: Ranges): G | null {
  const { build } = mode;
  const [x, y] = [inputOf(node, 0), outputOf(node, 0)];
  const [whole = y] = definitionOf(node)?.decompose?.(node, build.inside(node)) ?? [];
  const ones = build.expand(build.scalar(1, y), y.shape);
  const slope = reverse(new Map([[whole, ones]]), new Set([x]), plainWith(build), ranges, new Set([x])).get(x);
  if (!slope) return null;
  const linear = build.mul(x, slope);
  return reverse(new Map([[linear, cotangent]]), new Set([x]), mode, ranges, new Set([x, slope])).get(x) ?? null;
}

/** Refuses nodes without a rule, but only those that a cotangent would have to flow through. */
function refuseWithoutRule(order: readonly Node[], outputs: readonly Value[], needed: ReadonlySet<Value>): void {
  const live = new Set<Value>(outputs);
  const without: Node[] = [];
  for (const node of [...order].reverse()) {
    const definition = definitionOf(node);
    const flows = node.outputs.some((output) => live.has(output) && needed.has(output));
    if (!flows || definition?.differentiate === "none") continue;
    if (!definition?.differentiate && !definition?.decompose && !definition?.body) without.unshift(node);
    for (const input of presentInputs(node)) live.add(input);
  }
  if (without.length === 0) return;
  const many = without.length > 1;
  throw new PergradError(
    "UNSUPPORTED_OP",
    `pergrad cannot differentiate ${without.map(describeNode).join(", ")}, which ${many ? "lie" : "lies"} between a parameter ` +
      `and the loss; leave out the parameters before ${many ? "them" : "it"}, or express ${many ? "them" : "it"} by other operators.`,
  );
}

/** For each input of a node, the parts that add up to its cotangent, by the op's own derivative rule. */
export function applyRule(
  node: Node,
  cotangents: readonly (Value | null)[],
  wanted: readonly boolean[],
  build: Build,
  ranges: Ranges,
): (readonly Cotangent[])[] {
  const { body, differentiate: rule } = present(definitionOf(node));
  if (body) return body.differentiate(node, cotangents, wanted, bodyReverse(build, ranges.inBody(node)));
  if (rule === undefined || rule === "none") return node.inputs.map(() => []);
  const results = rule(node, cotangents, withMasks(build, cotangents, ranges), wanted);
  const own = node.inputs.map((_, k) => (wanted[k] ? (results[k] ?? null) : null));
  return absorbZeros(node, cotangents, own, build, ranges).map((result) => (result ? [result] : []));
}

/**
 * Rules mask cotangents by multiplying where these cannot be infinite: the runtime takes several times as long to
 * select. They must have bounds: a product of numbers without any may overflow, and then infinity times 0 is NaN.
 */
function withMasks(build: Build, cotangents: readonly (Value | null)[], ranges: Ranges): Build {
  const { strategy } = build;
  const multiplies =
    strategy.masks === undefined && cotangents.every((cotangent) => !cotangent || hasBounds(ranges.of(cotangent)));
  return multiplies ? build.choosing({ ...strategy, masks: "multiply" }) : build;
}

/** The parts of a cotangent as one tensor; null if there are none. */
export function emitParts(build: Build, parts: readonly Cotangent[]): Value | null {
  return parts
    .map((part) => emitCotangent(build, part))
    .reduce<Value | null>((sum, part) => (sum ? build.add(sum, part) : part), null);
}

/** Reverse mode in the body of an op: the cotangents of captured values stay as the rules state them. */
function bodyReverse(build: Build, ranges: Ranges): BodyReverse {
  const reverseBody: BodyReverse["reverse"] = (seeds, targets, lazy) => {
    const emit = (parts: readonly Cotangent[]) => emitParts(build, parts);
    const mode: Mode<readonly Cotangent[]> = {
      build,
      pull: (node, cotangents, wanted, own) => {
        const tensors = cotangents.map((parts) => (parts ? emit(parts) : null));
        return applyRule(node, tensors, wanted, build, own).map((parts, k) => {
          const input = node.inputs[k];
          if (parts.length === 0 || !input || lazy.has(input)) return parts.length === 0 ? null : parts;
          const emitted = emit(parts);
          return emitted ? [emitted] : null;
        });
      },
      accumulate: (value, parts) => {
        if (lazy.has(value)) return parts.flat();
        const total = emit(parts.flat());
        return total ? [total] : [];
      },
    };
    return reverse(new Map([...seeds].map(([value, seed]) => [value, [seed]])), targets, mode, ranges);
  };
  return { build, reverse: reverseBody, batch: batchOver, emit: (cotangent) => emitCotangent(build, cotangent) };
}

/** Ordinary reverse mode: cotangents are tensors of their value's shape. */
export function plainWith(build: Build): Mode<Value> {
  return {
    build,
    pull: (node, cotangents, wanted, ranges) =>
      applyRule(node, cotangents, wanted, build, ranges).map((parts) => emitParts(build, parts)),
    accumulate: (_value, parts) => parts.reduce((sum, part) => added(build, sum, part)),
  };
}

/** Sums of large products take no memory of their own if the second product starts from the first. */
function added(build: Build, sum: Value, part: Value): Value {
  if (!build.strategy.holdLess) return build.add(sum, part);
  const [first, second] = [productOf(build, sum), productOf(build, part)];
  if (!first || !second || !sameShape(sum.shape, part.shape)) return build.add(sum, part);
  const [a, b] = inputsOf(second, 2);
  const begun = build.reshape(outputOf(first, 0), outputOf(second, 0).shape);
  return build.reshape(build.op("Gemm", [a, b, begun]), sum.shape);
}

/** The product of two matrices, or the sum of several, that a value is a view of. */
function productOf(build: Build, value: Value): Node | undefined {
  const node = build.origin(value);
  if (node?.op === "Reshape") return productOf(build, inputOf(node, 0));
  const matrices = node?.inputs.every((input) => input?.shape.length === 2) ?? false;
  return matrices && (node?.op === "MatMul" || (node?.op === "Gemm" && Object.keys(node.attributes).length === 0))
    ? node
    : undefined;
}

export const plain: Mode<Value> = plainWith(build);
