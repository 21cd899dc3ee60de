/**
 * Limits on class labels that a model itself looks up: in ONNX's own losses, and where a label picks among logarithms
 * of probabilities. The runtime counts a negative label from the end, which silently selects another class.
 */

import { sourceOf } from "../graph/behind.js";
import type { LabelLimit } from "../graph/model.js";
import { inputOf, outputOf } from "../graph/operands.js";
import { describeNode, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { grouped } from "../grouped.js";
import { intAttribute, normalAxis } from "../ops/checks.js";
import { definitionOf } from "../ops/registry.js";

interface Lookup {
  readonly labels: Value;
  readonly limit: LabelLimit;
}

/** For each input that holds class labels which the model looks up: the labels that exist. */
export function labelLimits(outputs: Iterable<Value>): ReadonlyMap<Value, readonly LabelLimit[]> {
  const all = nodesBefore(outputs).flatMap(lookups);
  return grouped(all.map(({ labels, limit }) => [sourceOf(labels), limit]));
}

function lookups(node: Node): Lookup[] {
  if (node.domain !== "") return [];
  const [first, second] = node.inputs;
  if (!first || !second) return [];
  if (definitionOf(node)?.classLabels) {
    const { ignore_index: ignored } = node.attributes;
    return lookup(node, second, first.shape[1], { ignored: typeof ignored === "number" ? ignored : undefined });
  }
  if (node.op === "GatherElements" || node.op === "GatherND") {
    const axis = pickedAxis(node, first, second);
    return axis !== null && axis === classAxisOf(first) ? lookup(node, second, first.shape[axis]) : [];
  }
  if (node.op !== "Mul") return [];
  return [...weighted(first, second), ...weighted(second, first)];
}

function lookup(
  by: Node,
  labels: Value,
  classes: Value["shape"][number] | undefined,
  more: Partial<LabelLimit> = {},
): Lookup[] {
  return typeof classes === "number"
    ? [{ labels, limit: { ignored: undefined, ...more, classes, by: describeNode(by) } }]
    : [];
}

/** The axis along which each index picks one element; null where it picks more. */
function pickedAxis(node: Node, data: Value, indices: Value): number | null {
  if (node.op === "GatherElements") return normalAxis(node, intAttribute(node, "axis", 0), data.shape.length);
  return indices.shape.at(-1) === 1 ? intAttribute(node, "batch_dims", 0) : null;
}

/** The class axis of probabilities, or of their logarithms; null for other values. */
function classAxisOf(value: Value): number | null {
  const node = nodeOf(value);
  if (node?.domain !== "") return null;
  if (node.op === "Softmax" || node.op === "LogSoftmax")
    return normalAxis(node, intAttribute(node, "axis", -1), value.shape.length);
  // Element-wise operations on probabilities keep the axis of the classes.
  const single = definitionOf(node)?.elementwise && node.inputs.length === 1;
  return single || node.op === "Identity" ? classAxisOf(inputOf(node, 0)) : null;
}

/** Labels as one-hot rows that multiply probabilities: a label far out of range becomes a row of zeros. */
function weighted(scores: Value, weights: Value): Lookup[] {
  const axis = classAxisOf(scores);
  const node = nodeOf(sourceOf(weights));
  if (axis === null || node?.op !== "OneHot" || node.domain !== "") return [];
  const rank = outputOf(node, 0).shape.length;
  const at = normalAxis(node, intAttribute(node, "axis", -1), rank);
  const classes = node.outputs[0]?.shape[at];
  return lookup(node, inputOf(node, 0), classes, { skipsOthers: true });
}
