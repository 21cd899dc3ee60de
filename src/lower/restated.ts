/** Walks a graph node by node, for rules that express a node in another way. */

import { isBody } from "../graph/body.js";
import { inputsOf, outputOf } from "../graph/operands.js";
import { remade, withInputs } from "../graph/remade.js";
import type { OnRewrite } from "../graph/rewritten.js";
import type { Node, Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { floatAttribute, intAttribute } from "../ops/checks.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";

/** A rule, with its name in a log of rewrites. */
export interface NodeRule {
  readonly name: string;
  /**
   * Begins a graph (each body of a node is one too) and returns a function that gives the replacement of a node's only
   * output; null keeps the node.
   */
  begin(): (node: Node) => Value | null;
}

/**
 * The same outputs, with each node restated as the rule says, in bodies too.
 * @param own the model's own results: the nodes that lead to them stay
 * @param seen is called with each rewrite
 */
export function restated(
  rule: NodeRule,
  outputs: readonly Value[],
  own: readonly Value[] = [],
  seen?: OnRewrite,
): Value[] {
  const kept = new Set(nodesBefore(own));
  const current = new Map<Value, Value>();
  const apply = rule.begin();
  for (const node of nodesBefore(outputs)) {
    if (kept.has(node)) continue;
    const before = restatedInside(rule, withInputs(node, current), seen);
    replace(node, before, apply(before), rule.name, { current, seen });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

function restatedInside(rule: NodeRule, node: Node, seen: OnRewrite | undefined): Node {
  const { body } = node.attributes;
  if (!isBody(body)) return node;
  const outputs = restated(rule, body.outputs, [], seen);
  if (outputs.every((output, k) => output === body.outputs[k])) return node;
  return remade(node, { attributes: { ...node.attributes, body: { ...body, outputs } } });
}

/** Records the replacement of a node's outputs, and reports it. */
export function replace(
  node: Node,
  before: Node,
  result: Value | null | undefined,
  name: string,
  { current, seen }: { readonly current: Map<Value, Value>; readonly seen: OnRewrite | undefined },
): void {
  const results = result ? [result] : before.outputs;
  seen?.({ rule: result ? name : null, node, results });
  node.outputs.forEach((output, k) => {
    if (results[k] !== output) current.set(output, nth(results, k));
  });
}

type Product = (left: Value, right: Value) => Value | null;

/** A MatMul computed by `product`, which takes two matrices (perhaps with leading axes); null if that returns null. */
export function matMulBy(node: Node, product: Product): Value | null {
  const [a, b] = inputsOf(node, 2);
  const left = a.shape.length === 1 ? build.unsqueeze(a, [0]) : a;
  const right = b.shape.length === 1 ? build.unsqueeze(b, [1]) : b;
  const result = product(left, right);
  return result && build.reshape(result, outputOf(node, 0).shape);
}

/** A Gemm computed by `product`; null if that returns null. */
export function gemmBy(node: Node, product: Product): Value | null {
  const [a, b] = inputsOf(node, 2);
  const turned = (value: Value, key: string) => (intAttribute(node, key, 0) ? build.transposeLast(value) : value);
  const result = product(turned(a, "transA"), turned(b, "transB"));
  if (!result) return null;
  const scaled = build.scale(result, floatAttribute(node, "alpha", 1));
  const c = node.inputs[2];
  return c ? build.add(scaled, build.scale(c, floatAttribute(node, "beta", 1))) : scaled;
}
