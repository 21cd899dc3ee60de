/** Bounds that a model's operators put on what is fed to them. */

import { reshapes } from "../graph/behind.js";
import type { LabelLimit } from "../graph/model.js";
import { describeNode, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { intAttribute } from "../ops/checks.js";
import { isRecurrent } from "../ops/rules/recurrent.js";

/** The number of steps that an LSTM, GRU or RNN takes at most. */
function stepsOf(node: Node): number {
  const steps = node.inputs[0]?.shape[intAttribute(node, "layout", 0) === 1 ? 1 : 0];
  return typeof steps === "number" ? steps : Number.POSITIVE_INFINITY;
}

/** What a value holds the elements of, changed in nothing but dtype and shape. */
function sourceOf(value: Value): Value {
  const node = nodeOf(value);
  const keeps = node && ["Identity", "Cast", ...reshapes].includes(node.op);
  const before = keeps ? node.inputs[0] : null;
  return before ? sourceOf(before) : value;
}

/** Of inputs that hold lengths of sequences, the longest that there may be. */
export function lengthLimits(outputs: Iterable<Value>): ReadonlyMap<Value, number> {
  const limits = new Map<Value, number>();
  for (const node of nodesBefore(outputs).filter(isRecurrent)) {
    const lengths = node.inputs[4];
    if (!lengths) continue;
    const source = sourceOf(lengths);
    limits.set(source, Math.min(limits.get(source) ?? Number.POSITIVE_INFINITY, stepsOf(node)));
  }
  return limits;
}

/** Losses inside a model, whose labels the runtime takes from the end where they are negative. */
const lossOps = ["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"];

/** Of inputs that hold class labels which the model itself looks up, which there are. */
export function labelLimits(outputs: Iterable<Value>): ReadonlyMap<Value, readonly LabelLimit[]> {
  const limits = new Map<Value, LabelLimit[]>();
  for (const node of nodesBefore(outputs)) {
    const [scores, labels] = node.inputs;
    const classes = scores?.shape[1];
    if (!lossOps.includes(node.op) || !labels || typeof classes !== "number") continue;
    const source = sourceOf(labels);
    const { ignore_index: ignored } = node.attributes;
    const limit = { classes, ignored: typeof ignored === "number" ? ignored : undefined, by: describeNode(node) };
    limits.set(source, [...(limits.get(source) ?? []), limit]);
  }
  return limits;
}
