/** Rewriting rules for parts that are put together, which derivatives of slices are, and for results of loops. */

import { uniform } from "../graph/behind.js";
import { sameShape } from "../graph/dim.js";
import { inputOf, inputsOf } from "../graph/operands.js";
import { constantOf, nodeOf, type Value } from "../graph/value.js";
import { definitionOf } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { output, type Rewrite, type Rule } from "./rule.js";

/** A value with zeros around it along one axis. */
interface Padded {
  readonly value: Value;
  readonly axis: number;
  readonly low: number;
  readonly high: number;
}

function padded(value: Value): Padded | null {
  const node = nodeOf(value);
  if (node?.op !== "Pad" || (node.attributes.mode ?? "constant") !== "constant" || node.inputs[3]) return null;
  if (node.inputs[2] && uniform(node.inputs[2]) !== 0) return null;
  const amounts = node.inputs[1] ? Array.from(constantOf(node.inputs[1])?.data ?? [], Number) : [];
  const rank = value.shape.length;
  const axes = value.shape.flatMap((_, axis) => (amounts[axis] || amounts[axis + rank] ? [axis] : []));
  const [axis] = axes;
  if (axis === undefined || axes.length !== 1 || amounts.length !== 2 * rank || amounts.some((amount) => amount < 0))
    return null;
  return { value: inputOf(node, 0), axis, low: nth(amounts, axis), high: nth(amounts, axis + rank) };
}

/** The terms of a sum, if each is a padded value of its shape; else null. */
function paddedTerms(sum: Value): readonly Padded[] | null {
  const node = nodeOf(sum);
  if (node?.op !== "Add") {
    const one = padded(sum);
    return one && [one];
  }
  const [a, b] = inputsOf(node, 2);
  if (!sameShape(a.shape, sum.shape) || !sameShape(b.shape, sum.shape)) return null;
  const [left, right] = [paddedTerms(a), paddedTerms(b)];
  return left && right ? [...left, ...right] : null;
}

/** The parts of a value that is joined along an axis. */
function partsOf(value: Value, axis: number): readonly Value[] {
  const node = nodeOf(value);
  return node?.op === "Concat" && node.attributes.axis === axis ? node.inputs.map((part) => present(part)) : [value];
}

/** The sum of values padded with zeros so that each begins where another ends = these values, joined. */
const joinedPads: Rewrite = (node, build) => {
  const terms = paddedTerms(output(node));
  const [first] = terms ?? [];
  if (!terms || !first || terms.some(({ axis }) => axis !== first.axis)) return null;
  const { shape } = output(node);
  const { axis } = first;
  const size = nth(shape, axis);
  const inOrder = [...terms].sort((a, b) => a.low - b.low);
  const fits = inOrder.every(({ low }, k) => k === 0 || low === Number(size) - nth(inOrder, k - 1).high);
  if (!fits || typeof size !== "number") return null;
  const joined = build.concat(
    inOrder.flatMap(({ value }) => partsOf(value, axis)),
    axis,
  );
  const amounts = (amount: number) => shape.map((_, at) => (at === axis ? amount : 0));
  return [build.pad(joined, amounts(nth(inOrder, 0).low), amounts(nth(inOrder, inOrder.length - 1).high))];
};

/** A loop that stacks one value of its steps twice stacks it once. */
const stackedOnce: Rewrite = (node, build) => definitionOf(node)?.body?.stackedOnce(node, build) ?? null;

export const joinedRules: readonly Rule[] = [
  { name: "joined-pads", ops: ["Add"], rewrite: joinedPads },
  { name: "stacked-once", rewrite: stackedOnce },
];
