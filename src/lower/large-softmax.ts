/**
 * Probabilities of many classes at many positions, in place. The logits of a language model are its largest tensor. A
 * runtime's Softmax and LogSoftmax write a second one; less the maximum, Exp and a quotient each take the place of the
 * one before.
 */

import { bytesOfValue } from "../graph/bytes.js";
import { isBatch } from "../graph/dim.js";
import { inputOf, outputOf } from "../graph/operands.js";
import type { OnRewrite } from "../graph/rewritten.js";
import type { Node, Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { grouped } from "../grouped.js";
import { intAttribute, normalAxis } from "../ops/checks.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { belowMaximum } from "./below-maximum.js";
import { replace, withInputs } from "./restated.js";

/** What a log of rewrites calls it. */
export const inPlace = "softmax-in-place";

/** Bytes of one sample's logits from which on it counts. */
const large = 2 ** 23;

/** The same outputs, with large probabilities computed in place. For the other parameters see `sumsInBlocks`. */
export function softmaxInPlace(outputs: readonly Value[], own: readonly Value[] = [], seen?: OnRewrite): Value[] {
  const nodes = nodesBefore(outputs);
  const found = largeSoftmax(nodes, outputs, new Set(nodesBefore(own)));
  if (found.size === 0) return [...outputs];
  const current = new Map<Value, Value>();
  const logarithms = new Map<Value, Parts>();
  for (const node of nodes) {
    const before = withInputs(node, current);
    const parts = found.has(node) ? partsOf(before) : undefined;
    if (parts && node.op === "LogSoftmax") logarithms.set(outputOf(before, 0), parts);
    const result = parts && node.op === "Softmax" ? parts.probabilities : readOf(before, logarithms);
    replace(node, before, result, inPlace, { current, seen });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

/** Those whose logits nothing else reads, and whose logarithms nothing reads but Exp and what picks some of them. */
function largeSoftmax(nodes: readonly Node[], outputs: readonly Value[], kept: ReadonlySet<Node>): Set<Node> {
  const readers = grouped(nodes.flatMap((node) => presentInputs(node).map((input) => [input, node] as const)));
  const isFor = (node: Node): boolean => {
    if (kept.has(node) || node.domain !== "" || (node.op !== "Softmax" && node.op !== "LogSoftmax")) return false;
    const [x, y] = [inputOf(node, 0), outputOf(node, 0)];
    if (y.dtype !== "float32" || isBatch(nth(x.shape, axisOf(node))) || bytesOfValue(x).perSample < large) return false;
    if (x.source.kind !== "node" || outputs.includes(x) || outputs.includes(y)) return false;
    if (readers.get(x)?.length !== 1) return false;
    return node.op === "Softmax" || (readers.get(y) ?? []).every((reader) => isRead(reader, y, axisOf(node)));
  };
  return new Set(nodes.filter(isFor));
}

const axisOf = (node: Node): number => normalAxis(node, intAttribute(node, "axis", -1), inputOf(node, 0).shape.length);

function isRead(node: Node, y: Value, axis: number): boolean {
  if (node.op === "Exp") return true;
  if (node.op !== "GatherElements" || node.inputs[0] !== y) return false;
  return normalAxis(node, intAttribute(node, "axis", 0), y.shape.length) === axis;
}

/** Of logarithms of probabilities. */
interface Parts {
  /** Logits less the largest. */
  readonly shifted: Value;
  readonly logSum: Value;
  readonly probabilities: Value;
}

function partsOf(node: Node): Parts {
  const [shifted] = belowMaximum(inputOf(node, 0), [axisOf(node)]);
  const exponentials = build.exp(shifted);
  const sum = build.reduce("ReduceSum", exponentials, [axisOf(node)], true);
  return { shifted, logSum: build.log(sum), probabilities: build.div(exponentials, sum) };
}

/** What a reader of logarithms makes of their parts; undefined where it reads none. */
function readOf(node: Node, logarithms: ReadonlyMap<Value, Parts>): Value | undefined {
  const [y, indices] = node.inputs;
  const parts = y ? logarithms.get(y) : undefined;
  if (!parts) return undefined;
  if (node.op === "Exp") return parts.probabilities;
  return build.sub(build.op("GatherElements", [parts.shifted, present(indices)], node.attributes), parts.logSum);
}
