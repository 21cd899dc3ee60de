/** Operators that the runtime lacks on the GPU, expressed in operators that it has there. */
import { inputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import type { Build } from "../../ops/build.js";
import { intAttribute } from "../../ops/checks.js";
import { build, definitionOf } from "../../ops/registry.js";
import type { Rewrite, Rule } from "../../optimise/rule.js";
import type { Replacement } from "../../optimise/simplify.js";
import { isFloat } from "../../tensor/tensor.js";
import { hasKernel } from "./kernels.js";

/** x - max - log(sum(exp(x - max))), along its axis. */
const logSoftmaxInParts: Rewrite = (node, build) => {
  const x = inputOf(node, 0);
  const axis = intAttribute(node, "axis", -1);
  const axes = [axis < 0 ? axis + x.shape.length : axis];
  const below = build.sub(x, build.reduce("ReduceMax", x, axes, true));
  return [build.sub(below, build.log(build.reduce("ReduceSum", build.exp(below), axes, true)))];
};

/** Adds the terms in the operator's own order. */
const sumInPairs: Rewrite = (node, build) => {
  const [first, ...others] = node.inputs.filter((input) => input !== null);
  return first ? [others.reduce((sum, term) => build.add(sum, term), first)] : null;
};

/** Adds the terms in the operator's own order. */
const meanInPairs: Rewrite = (node, build) => {
  const [sum] = sumInPairs(node, build) ?? [];
  return sum ? [build.scale(sum, 1 / node.inputs.length)] : null;
};

/** 1 where x is above 0, minus 1 where it is below. */
const signByComparing: Rewrite = (node, build) => {
  const x = inputOf(node, 0);
  if (!isFloat(x.dtype)) return null;
  const zero = build.scalar(0, x);
  return [build.sub(build.cast(build.greater(x, zero), x.dtype), build.cast(build.less(x, zero), x.dtype))];
};

const either = (build: Build, a: Value, b: Value) => build.not(build.and(build.not(a), build.not(b)));

/** The parts of an operator that is defined by others, if the GPU has kernels for all of them. */
const decomposedOnGpu: Rewrite = (node, build) => {
  const values = definitionOf(node)?.decompose?.(node, build);
  const added = values ? nodesBefore(values, new Set(node.inputs)) : [];
  return values && added.every((part) => hasKernel(part) || byOperator.has(part.op)) ? values : null;
};

const byOperator: ReadonlyMap<string, Rule> = new Map([
  ["LogSoftmax", { name: "log-softmax-on-gpu", rewrite: logSoftmaxInParts }],
  ["Mean", { name: "mean-on-gpu", rewrite: meanInPairs }],
  ["Or", { name: "or-on-gpu", rewrite: (node, build) => [either(build, inputOf(node, 0), inputOf(node, 1))] }],
  ["Sign", { name: "sign-on-gpu", rewrite: signByComparing }],
  ["Sum", { name: "sum-on-gpu", rewrite: sumInPairs }],
]);

/** The replacement for a node that has no kernel on the GPU; null if it has one, or if there is no replacement. */
export function onGpu(node: Node): Replacement | null {
  if (hasKernel(node)) return null;
  const { name, rewrite } = (node.domain === "" && byOperator.get(node.op)) || {
    name: "parts-on-gpu",
    rewrite: decomposedOnGpu,
  };
  const results = rewrite(node, build);
  return results && { rule: name, results };
}
