/**
 * Files that are made for one sample and remove its batch axis (`x[0]`). They are computed for each sample separately,
 * with one more leading axis, which stands for the samples.
 */

import type { BatchOver } from "../../../autodiff/vmap.js";
import { factorOf, N } from "../../../graph/dim.js";
import { leaf, type Node, type Value } from "../../../graph/value.js";
import { nodesBefore } from "../../../graph/walk.js";
import type { Build } from "../../../ops/build.js";
import { intAttribute, normalAxis } from "../../../ops/checks.js";
import { nth } from "../../../present.js";

/** Whether a node takes the only element along an axis. */
function takesOnly(node: Node): boolean {
  const [data, indices] = node.inputs;
  if (node.op !== "Gather" || node.domain !== "" || !data || !indices || data.shape.length === 0) return false;
  const axis = normalAxis(node, intAttribute(node, "axis", 0), data.shape.length);
  const only = indices.known?.every((index) => index === 0 || index === -1) ?? false;
  return data.shape[axis] === 1 && only && indices.shape.length === 0;
}

export interface ForAllSamples {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/**
 * The graph of one sample, for any number of samples. Inputs keep their shapes, with N along their sample axis. Outputs
 * have the samples along axis 0, in place of the axis of size 1 that the file has there. Null if no node removes that
 * axis.
 * @param axes the sample axes of the inputs
 */
export function forAllSamples(
  build: Build,
  batchOver: BatchOver,
  { inputs, outputs }: ForAllSamples,
  axes: ReadonlyMap<Value, number>,
): ForAllSamples | null {
  if (!nodesBefore(outputs).some(takesOnly)) return null;
  const replacements = new Map<Value, Value>();
  const open = inputs.map((input) => {
    const axis = axes.get(input);
    if (axis === undefined) return input;
    const { dtype, shape, name, source } = input;
    if (source.kind === "node") return input;
    const all = leaf(name, { dtype, shape: shape.with(axis, N) }, source);
    replacements.set(input, build.unsqueeze(build.moveAxis(all, axis, 0), [axis + 1]));
    return all;
  });
  const batched = batchOver(outputs, replacements).map((output, k) => {
    const own = nth(outputs, k);
    const value = output ?? build.expand(own, [N, ...own.shape]);
    const [first] = own.shape;
    return first !== undefined && factorOf(first) === 1 ? build.squeeze(value, [1]) : value;
  });
  return { inputs: open, outputs: batched };
}
