/**
 * Sums over long axes, in blocks. A runtime adds up in float32, one element after another: the sum of n equal terms is
 * off by about n 10^-8 (1.30 on a processor with AVX-512: 4e-5 for 4,096 squares, 2 % for two million). So
 * the values that pergrad computes for a model (norms, losses, cotangents, products of factors) are summed in blocks of
 * about 64, and then the blocks' sums in the same way. Each level adds an error of some 10^-7. The model's own
 * operators stay as they are.
 */

import { elementsOf, factorOf, fixedSize, isBatch, type Shape } from "../graph/dim.js";
import { allInputsOf, inputOf, inputsOf, outputOf } from "../graph/operands.js";
import type { OnRewrite } from "../graph/rewritten.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { intAttribute, normalAxis } from "../ops/checks.js";
import { build } from "../ops/registry.js";
import { reducedAxes } from "../ops/rules/reductions.js";
import { nth, present } from "../present.js";
import { belowMaximum } from "./below-maximum.js";
import {
  blockSize,
  cut,
  mostAlong,
  mostInARow,
  mostTerms,
  ofPairs,
  reduce,
  reducePairs,
  type SumOp,
  usualBlock,
} from "./line-sums.js";
import { product } from "./long-products.js";
import { gemmBy, matMulBy, restated } from "./restated.js";

/** Its name in a log of rewrites. */
export const blocking = "sum-in-blocks";

/**
 * The same outputs, with long sums in blocks.
 * @param own the model's own results: the nodes that lead to them stay
 * @param seen is called with each rewrite
 */
export function sumsInBlocks(outputs: readonly Value[], own: readonly Value[] = [], seen?: OnRewrite): Value[] {
  return restated({ name: blocking, begin: () => inBlocks }, outputs, own, seen);
}

/** A value that computes a node's output in blocks; null if its sums are short. */
function inBlocks(node: Node): Value | null {
  if (node.outputs[0]?.dtype !== "float32" || node.domain !== "") return null;
  return rules[node.op]?.(node) ?? null;
}

const rules: Readonly<Record<string, (node: Node) => Value | null>> = {
  ReduceSum: (node) => reduced(node, "ReduceSum"),
  ReduceSumSquare: (node) => reduced(node, "ReduceSumSquare"),
  ReduceL1: (node) => reduced(node, "ReduceSum", build.abs),
  ReduceL2: (node) => {
    const squares = reduced(node, "ReduceSumSquare");
    return squares && build.sqrt(squares);
  },
  ReduceMean: (node) => {
    const sum = reduced(node, "ReduceSum");
    return sum && build.scale(sum, 1 / factorOf(elementsOf(along(node)) ?? Number.NaN));
  },
  ReduceLogSumExp: (node) => {
    if (isShort(node, "ReduceSum")) return null;
    const x = inputOf(node, 0);
    const axes = reducedAxes(node);
    const { shape } = outputOf(node, 0);
    const [shifted, shift] = belowMaximum(x, axes);
    return build.add(build.log(reduce("ReduceSum", build.exp(shifted), axes, shape)), build.reshape(shift, shape));
  },
  LogSoftmax: (node) => softmaxInBlocks(node, (shifted, sum) => build.sub(shifted, build.log(sum))),
  Softmax: (node) => softmaxInBlocks(node, (shifted, sum) => build.div(build.exp(shifted), sum)),
  CumSum: (node) => {
    const [x, axis] = inputsOf(node, 2);
    const at = normalAxis(node, axis.known?.[0] as number, x.shape.length);
    return isBatch(x.shape[at]) ? null : runningSum(x, at, node, mostInARow("ReduceSum"));
  },
  // A reshape of a sum that was itself reshaped becomes one reshape.
  Reshape: (node) => {
    const x = inputOf(node, 0);
    return nodeOf(x)?.op === "Reshape" ? build.reshape(x, outputOf(node, 0).shape) : null;
  },
  MatMul: (node) => matMulBy(node, product),
  Gemm: (node) => gemmBy(node, product),
  Sum: (node) => {
    const terms = allInputsOf(node);
    return terms.length > mostTerms ? inGroups(terms) : null;
  },
};

// Reductions

function along(node: Node): Shape {
  return reducedAxes(node).map((axis) => present(node.inputs[0]?.shape[axis]));
}

function isShort(node: Node, op: SumOp): boolean {
  const elements = elementsOf(along(node));
  return elements === undefined || factorOf(elements) <= mostAlong(op, inputOf(node, 0).shape, lastOf(node));
}

const lastOf = (node: Node): number => Math.max(...reducedAxes(node));

function reduced(node: Node, op: SumOp, map = (x: Value) => x): Value | null {
  if (isShort(node, op)) return null;
  const axes = reducedAxes(node);
  const x = map(inputOf(node, 0));
  const { shape } = outputOf(node, 0);
  if (!ofPairs(x)) return reduce(op, x, axes, shape);
  const sum = reducePairs(op, x, axes);
  return sum.shape.length === shape.length ? sum : build.unsqueeze(sum, axes);
}

// Exponentials

/** The number of classes whose exponentials the runtime sums accurately enough: it adds many at a time. */
const maxClasses = 2 ** 16;

function softmaxInBlocks(node: Node, finish: (shifted: Value, sum: Value) => Value): Value | null {
  const x = inputOf(node, 0);
  const axis = normalAxis(node, intAttribute(node, "axis", -1), x.shape.length);
  if (isBatch(x.shape[axis]) || factorOf(nth(x.shape, axis)) <= maxClasses) return null;
  const [shifted, { shape: kept }] = belowMaximum(x, [axis]);
  return finish(shifted, reduce("ReduceSum", build.exp(shifted), [axis], kept));
}

/** Cumulative sums: within blocks, plus the total of the blocks before. */
function runningSum(x: Value, axis: number, node: Node, most: number): Value | null {
  const length = factorOf(nth(x.shape, axis));
  if (length <= most) return null;
  const running = (value: Value, at: number, exclusive: number) =>
    build.op("CumSum", [value, build.ints([at], [])], { ...node.attributes, exclusive });
  const blocks = cut(x, axis, blockSize(length));
  const within = running(blocks, axis + 1, intAttribute(node, "exclusive", 0));
  const sums = build.reduce("ReduceSum", blocks, [axis + 1], true);
  const [count] = sums.shape.slice(axis) as [number];
  const flat = build.reshape(sums, [...x.shape.slice(0, axis), count, ...x.shape.slice(axis + 1)]);
  const exclusive: Node = { ...node, attributes: { ...node.attributes, exclusive: 1 } };
  const before = runningSum(flat, axis, exclusive, usualBlock) ?? running(flat, axis, 1);
  const all = build.add(within, build.reshape(before, sums.shape));
  const padded = all.shape.flatMap((dim, k) => {
    if (k === axis) return [count * fixedSize(all.shape, axis + 1)];
    return k === axis + 1 ? [] : [dim];
  });
  const result = build.reshape(all, padded);
  return padded[axis] === length ? result : build.slice(result, axis, 0, length);
}

// Sums of many tensors

function inGroups(terms: readonly Value[]): Value {
  if (terms.length <= mostTerms) return build.op("Sum", terms);
  const size = Math.ceil(Math.sqrt(terms.length));
  const groups = Array.from({ length: Math.ceil(terms.length / size) }, (_, k) =>
    build.op("Sum", terms.slice(k * size, (k + 1) * size)),
  );
  return inGroups(groups);
}
