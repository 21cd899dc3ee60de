/** Which inputs of a drawn node carry samples, and along which axis: as its sample-axis rule allows. */
import { SampleAxes } from "../../../src/analysis/sample-axes.js";
import { PergradError } from "../../../src/errors.js";
import { leaf, type Node, type Value } from "../../../src/graph/value.js";
import { build } from "../../../src/ops/registry.js";
import { isFloat } from "../../../src/tensor/tensor.js";
import type { OpCase, OpInput } from "../op-checks.js";
import { folded, openAxis, openShape, type Place } from "./bridge.js";
import type { Choices } from "./choices.js";

export interface Placement {
  readonly axis: number;
  readonly fold: Place["fold"];
  /** Indices of the inputs that carry samples. */
  readonly carriers: ReadonlySet<number>;
}

export const placeOf = (input: OpInput, { axis, fold }: Placement): Place => ({ dims: input.dims, axis, fold });

const isFed = (input: OpInput | null): input is OpInput => input !== null && !input.constant;
export const isFloatInput = (input: OpInput): boolean => isFloat(input.dtype ?? "float32");

/** Some, all or one of the inputs of full rank. */
function subsets(indices: readonly number[], choices: Choices): number[][] {
  const one = indices.length > 0 ? [[choices.of(indices)]] : [];
  const some = indices.filter(() => choices.chance(0.5));
  return choices.shuffled([[...indices], some, ...one]).filter((subset) => subset.length > 0);
}

function candidates(test: OpCase, choices: Choices): Placement[] {
  const open = test.inputs.flatMap((input, k) => (isFed(input) && !input.shared ? [k] : []));
  const rank = Math.max(0, ...open.map((k) => test.inputs[k]?.dims.length ?? 0));
  if (rank === 0) return [];
  const full = open.filter((k) => test.inputs[k]?.dims.length === rank);
  const folds = (axis: number, subset: readonly number[]): Place["fold"][] =>
    subset.every((k) => (test.inputs[k]?.dims[axis] ?? 0) > 0) ? ["none", "before", "behind"] : ["none"];
  const axes = [...Array(rank).keys()];
  // Inputs of other ranks may have the samples there too: labels beside scores.
  const besides = (axis: number) => {
    const size = test.inputs[full[0] ?? 0]?.dims[axis];
    return open.filter((k) => test.inputs[k]?.dims[axis] === size);
  };
  const chosen = (axis: number) =>
    choices.chance(0.3) ? [besides(axis), ...subsets(full, choices)] : [...subsets(full, choices), besides(axis)];
  const all = axes.flatMap((axis) =>
    chosen(axis).flatMap((subset) => folds(axis, subset).map((fold) => ({ axis, fold, carriers: new Set(subset) }))),
  );
  // An operator mostly looks for samples in front.
  const [front, others] = [all.filter(({ axis }) => axis === 0), all.filter(({ axis }) => axis > 0)];
  return choices.chance(0.5) ? choices.shuffled(all) : [...choices.shuffled(front), ...choices.shuffled(others)];
}

/** The node with these inputs. */
export function nodeOf(test: OpCase, inputs: readonly (Value | null)[]): Node {
  return build.node(test.op, inputs, test.attributes, test.outputs, { domain: test.domain ?? "" });
}

function accepts(test: OpCase, placement: Placement, constant: (input: OpInput) => Value): boolean {
  const given = new Map<Value, number>();
  const inputs = test.inputs.map((input, k) => {
    if (!input) return null;
    const dtype = input.dtype ?? "float32";
    if (input.constant) return constant(input);
    if (!placement.carriers.has(k)) return leaf("", { dtype, shape: input.dims }, { kind: "input" });
    const place = placeOf(input, placement);
    const value = leaf("", { dtype, shape: openShape(place) }, { kind: "input" });
    given.set(value, openAxis(place));
    return folded(value, place);
  });
  const axes = new SampleAxes(given);
  return nodeOf(test, inputs).outputs.some((output) => axes.of(output) !== null);
}

/** What a placement that does not fit ends in. */
const refusals = ["SAMPLES_INTERACT", "SHAPE_MISMATCH", "UNSUPPORTED_OP", "UNKNOWN_SHAPE", "INVALID_ARGUMENT"];

/** A way for the samples through this node, or null where it refuses all that were tried. */
export function placementFor(test: OpCase, choices: Choices, constant: (input: OpInput) => Value): Placement | null {
  for (const placement of candidates(test, choices)) {
    try {
      if (accepts(test, placement, constant)) return placement;
    } catch (error) {
      if (!(error instanceof PergradError) || !refusals.includes(error.code)) throw error;
    }
  }
  return null;
}
