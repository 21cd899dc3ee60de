/**
 * Local rewriting rules, applied wherever they match while a graph is cleaned up. Each takes a node to cheaper values
 * that equal its outputs, or returns null if it does not apply.
 */

import { PergradError } from "../errors.js";
import { reshapes, uniform } from "../graph/behind.js";
import { type Dim, multiply, type Shape, sameDim, sameShape } from "../graph/dim.js";
import { inputOf } from "../graph/operands.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { intsAttribute } from "../ops/checks.js";
import { definitionOf } from "../ops/registry.js";
import { contract } from "../ops/subgraphs/contract.js";
import { equationOf } from "../ops/subgraphs/equation.js";
import { leadingOf, nth } from "../present.js";
import { arithmeticRules, unchanged } from "./arithmetic-rules.js";
import { joinedRules } from "./joined-rules.js";
import { input, output, type Rewrite, type Rule } from "./rule.js";
import { scatterRules } from "./scatter-rules.js";

const decided: Rewrite = (node) => {
  const condition = uniform(node.inputs[0]);
  return condition === undefined ? null : unchanged(node, input(node, condition ? 1 : 2));
};

const identity: Rewrite = (node, build) => {
  // The graph computes float64 in float32.
  if (node.op === "Cast" && node.attributes.to !== output(node).dtype)
    return [build.cast(input(node, 0), output(node).dtype)];
  return node.op === "Identity" || input(node, 0).dtype === output(node).dtype ? [input(node, 0)] : null;
};

/** Views that move nothing, or undo or continue each other, as `Build` recognises them. */
const views: Rewrite = (node, build) => {
  const x = node.inputs[0];
  if (!x) return null;
  if (reshapes.includes(node.op)) {
    const before = nodeOf(x);
    if (before?.op === "Expand" && isSingle(input(before, 0)))
      return [build.expand(build.reshape(input(before, 0), []), output(node).shape)];
    if (node.op === "Reshape" && before?.op !== "Reshape" && !sameShape(x.shape, output(node).shape)) return null;
    return [build.reshape(x, output(node).shape)];
  }
  if (node.op === "Transpose") {
    const permutation = intsAttribute(node, "perm");
    const moved = permutation ? build.transpose(x, permutation) : null;
    return moved && !sameNode(nodeOf(moved), node) ? [moved] : null;
  }
  return unchanged(node, x);
};

/** Whether the value has one element. */
function isSingle({ shape }: Value): boolean {
  return shape.every((dim) => dim === 1);
}

function sameNode(a: Node | undefined, b: Node): boolean {
  return a?.op === b.op && a.inputs[0] === b.inputs[0];
}

/** The value that an Expand repeats, reshaped to the rank of the result, or null. */
function expanded(value: Value | null | undefined, build: Build): Value | null {
  const node = value ? nodeOf(value) : undefined;
  if (!value || node?.op !== "Expand") return null;
  const x = input(node, 0);
  return build.reshape(x, [...Array<Dim>(value.shape.length - x.shape.length).fill(1), ...x.shape]);
}

interface Operand {
  readonly value: Value;
  readonly letters: string;
}

/** The operand without repeated axes whose letters `others` keep; null if there are none. */
function unrepeated({ value, letters }: Operand, others: string, build: Build): Operand | null {
  const source = expanded(value, build);
  if (!source) return null;
  const keeps = [...letters].map(
    (letter, axis) => source.shape[axis] !== 1 || value.shape[axis] === 1 || !others.includes(letter),
  );
  if (!keeps.includes(false)) return null;
  const kept = <T>(of: readonly T[]) => of.filter((_, axis) => keeps[axis]);
  const one = build.reshape(source, kept(source.shape));
  return { value: build.expand(one, kept(value.shape)), letters: kept([...letters]).join("") };
}

/** Expands sink: an einsum reads the single copy that an expanded operand repeats. One operand keeps each letter. */
const einsumOfExpand: Rewrite = (node, build) => {
  const equation = equationOf(node);
  const operands = equation.operands.map((letters, k): Operand => ({ letters, value: input(node, k) }));
  let found = false;
  operands.forEach((operand, k) => {
    const others = operands.flatMap(({ letters }, i) => (i === k ? [] : [letters])).join("");
    const once = unrepeated(operand, others, build);
    if (!once) return;
    operands[k] = once;
    found = true;
  });
  if (!found) return null;
  const text = `${operands.map(({ letters }) => letters).join()}->${equation.result}`;
  const values = operands.map(({ value }) => value);
  return [build.op("Einsum", values, { equation: text })];
};

/** An einsum of two operands runs as one MatMul. */
const einsumAsMatmul: Rewrite = (node, build) => {
  if (node.inputs.length !== 2) return null;
  const { operands, result } = equationOf(node);
  const [left, right] = leadingOf(operands, 2);
  if ([left, right, result].some((letters) => new Set(letters).size !== letters.length)) return null;
  return [contract(build, input(node, 0), input(node, 1), [left, right, result])];
};

/**
 * Expands sink: an operand that broadcasts by itself need not be expanded if another operand gives the result its
 * shape.
 */
const broadcastOfExpand: Rewrite = (node, build) => {
  if (!(definitionOf(node)?.elementwise && node.inputs.length > 1) && node.op !== "MatMul") return null;
  for (const [k, value] of node.inputs.entries()) {
    const before = value ? nodeOf(value) : undefined;
    if (before?.op !== "Expand" || (value?.shape.length ?? 0) < 1) continue;
    const inputs = node.inputs.map((other, i) => (i === k ? inputOf(before, 0) : other));
    if (node.op === "MatMul" && (inputs[k]?.shape.length ?? 0) < 2) continue;
    const sunk = attempt(() => build.op(node.op, inputs, node.attributes));
    if (sunk && sameShape(sunk.shape, output(node).shape)) return [sunk];
  }
  return null;
};

/** The values that `make` returns, or null if the shapes do not fit and the rule does not apply. */
function attempt<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof PergradError) return null;
    throw error;
  }
}

/** f(Expand(a)) = Expand(f(a)): values that depend on a parameter alone are computed once. */
const pointwiseOfExpand: Rewrite = (node, build) => {
  const before = node.inputs[0] ? nodeOf(node.inputs[0]) : undefined;
  if (!definitionOf(node)?.elementwise || node.inputs.length !== 1 || before?.op !== "Expand") return null;
  return [build.expand(build.op(node.op, [inputOf(before, 0)], node.attributes), output(node).shape)];
};

const transposeOfExpand: Rewrite = (node, build) => {
  const source = expanded(node.inputs[0], build);
  const permutation = intsAttribute(node, "perm");
  return source && permutation ? [build.expand(build.transpose(source, permutation), output(node).shape)] : null;
};

/** The axes of `from` that make up each axis of `to`, if axes are only joined, none is split; else null. */
function joinedAxes(from: Shape, to: Shape): number[][] | null {
  let next = 0;
  const joined = to.map((size) => {
    const start = next;
    let product: Dim | undefined = 1;
    while (product !== undefined && next < from.length && !sameDim(product, size))
      product = multiply(product, nth(from, next++));
    return product !== undefined && sameDim(product, size) ? from.map((_, axis) => axis).slice(start, next) : [];
  });
  return next === from.length && joined.every(({ length }) => length > 0) ? joined : null;
}

/** Two transpositions around a reshape that joins axes, if all elements end up in their first order. */
const transposedBack: Rewrite = (node, build) => {
  const between = nodeOf(input(node, 0));
  const before = between?.op === "Reshape" ? nodeOf(input(between, 0)) : undefined;
  if (!between || before?.op !== "Transpose") return null;
  const [first, second] = [intsAttribute(before, "perm"), intsAttribute(node, "perm")];
  const joined = joinedAxes(output(before).shape, output(between).shape);
  if (!first || !second || !joined) return null;
  const order = second.flatMap((axis) => nth(joined, axis)).map((axis) => nth(first, axis));
  return order.every((axis, k) => axis === k) ? [build.reshape(input(before, 0), output(node).shape)] : null;
};

/** The rules, in the order in which they are tried. */
export const rules: readonly Rule[] = [
  { name: "identity", ops: ["Cast", "Identity"], rewrite: identity },
  ...arithmeticRules,
  { name: "decided-where", ops: ["Where"], rewrite: decided },
  { name: "einsum-of-expand", ops: ["Einsum"], rewrite: einsumOfExpand },
  { name: "einsum-as-matmul", ops: ["Einsum"], rewrite: einsumAsMatmul },
  { name: "broadcast-of-expand", rewrite: broadcastOfExpand },
  { name: "pointwise-of-expand", rewrite: pointwiseOfExpand },
  { name: "transpose-of-expand", ops: ["Transpose"], rewrite: transposeOfExpand },
  { name: "transposed-back", ops: ["Transpose"], rewrite: transposedBack },
  { name: "joined-views", ops: [...reshapes, "Transpose", "Expand"], rewrite: views },
  ...joinedRules,
  ...scatterRules,
];

const ofAnyOperator = rules.filter(({ ops }) => !ops);

/** The rules for the operators that some rules look for. */
const ofOperator: ReadonlyMap<string, readonly Rule[]> = new Map(
  rules.flatMap(({ ops = [] }) => ops.map((op) => [op, rules.filter((rule) => rule.ops?.includes(op) ?? true)])),
);

/** The first rule that applies, and its result. */
export function rewrite(node: Node, build: Build): { readonly rule: string; readonly results: Value[] } | null {
  for (const { name, rewrite } of ofOperator.get(node.op) ?? ofAnyOperator) {
    const results = rewrite(node, build);
    if (results) return { rule: name, results };
  }
  return null;
}
