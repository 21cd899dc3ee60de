/**
 * Sums over long axes, in blocks. A runtime adds up in float32, one element after another: of n equal terms the sum
 * is off by about n 10^-8 (1.30 on a processor with AVX-512: 4e-5 for 4,096 squares, 2 % for two million). What is
 * computed of a model (norms, losses, cotangents, products of factors) is therefore summed in blocks of about 64, and
 * the blocks' sums again. Each level then adds some 10^-7. The model's own operators stay as they are.
 */

import { isBody } from "../graph/body.js";
import { type Dim, elementsOf, factorOf, fixedSize, isBatch, N, type Shape } from "../graph/dim.js";
import { allInputsOf, inputOf, inputsOf, outputOf } from "../graph/operands.js";
import type { OnRewrite } from "../graph/rewritten.js";
import { makeNode, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { floatAttribute, intAttribute, intsAttribute, normalAxis } from "../ops/checks.js";
import { build } from "../ops/registry.js";
import { reducedAxes } from "../ops/rules/reductions.js";
import { leadingOf, nth, present } from "../present.js";

/** What a log of rewrites calls it. */
export const blocking = "sum-in-blocks";

/**
 * The same outputs, with long sums in blocks.
 * @param own the model's own results: nodes that lead to them stay
 * @param seen is told what becomes of each node
 */
export function sumsInBlocks(outputs: readonly Value[], own: readonly Value[] = [], seen?: OnRewrite): Value[] {
  const kept = new Set(nodesBefore(own));
  const current = new Map<Value, Value>();
  for (const node of nodesBefore(outputs)) {
    if (kept.has(node)) continue;
    const before = withBlocksInside(withInputs(node, current), seen);
    const blocks = inBlocks(before);
    const results = blocks ?? before.outputs;
    seen?.({ rule: blocks ? blocking : null, node, results });
    node.outputs.forEach((output, k) => {
      if (results[k] !== output) current.set(output, nth(results, k));
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

function withInputs(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const inputs = node.inputs.map((input) => (input ? (current.get(input) ?? input) : null));
  return inputs.every((input, k) => input === node.inputs[k]) ? node : remade({ ...node, inputs });
}

function remade(node: Node): Node {
  const names = node.outputs.map(({ name }) => name);
  return makeNode(node, node.outputs, names);
}

function withBlocksInside(node: Node, seen: OnRewrite | undefined): Node {
  const { body } = node.attributes;
  if (!isBody(body)) return node;
  const outputs = sumsInBlocks(body.outputs, [], seen);
  if (outputs.every((output, k) => output === body.outputs[k])) return node;
  return remade({ ...node, attributes: { ...node.attributes, body: { ...body, outputs } } });
}

/** What computes a node's outputs in blocks; null where its sums are short. */
function inBlocks(node: Node): Value[] | null {
  if (node.outputs[0]?.dtype !== "float32") return null;
  const rule = rules[node.op];
  const result = node.domain === "" ? rule?.(node) : undefined;
  return result ? [result] : null;
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
    return isBatch(x.shape[at]) ? null : runningSum(x, at, node, mostInARow.ReduceSum);
  },
  MatMul: (node) => {
    const [a, b] = inputsOf(node, 2);
    const left = a.shape.length === 1 ? build.unsqueeze(a, [0]) : a;
    const right = b.shape.length === 1 ? build.unsqueeze(b, [1]) : b;
    const result = product(left, right);
    return result && build.reshape(result, outputOf(node, 0).shape);
  },
  Gemm: (node) => {
    const [a, b, c] = inputsOf(node, 2);
    const turned = (value: Value, key: string) => (intAttribute(node, key, 0) ? build.transposeLast(value) : value);
    const result = product(turned(a, "transA"), turned(b, "transB"));
    if (!result) return null;
    const scaled = build.scale(result, floatAttribute(node, "alpha", 1));
    return c ? build.add(scaled, build.scale(c, floatAttribute(node, "beta", 1))) : scaled;
  },
  Sum: (node) => {
    const terms = allInputsOf(node);
    return terms.length > mostTerms ? inGroups(terms) : null;
  },
};

// Reductions

/** Elements that are summed in one go. Squares are added one by one, and plain numbers eight at a time, by the kernels that were measured. */
const mostInARow = { ReduceSumSquare: 256, ReduceSum: 1024 };
/** Where other axes lie behind, it adds four at a time; where none lies before, again one by one. */
const mostRows = { inner: 512, outermost: 128 };
/** Blocks of a product whose sums are added in one go. */
const mostBlocks = 32;
/** Elements in a block, about. */
const usualBlock = 64;

type SumOp = keyof typeof mostInARow;

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

/** The sum over some axes, of shape `to`: neighbouring axes as one, the innermost first. */
function reduce(op: SumOp, x: Value, axes: readonly number[], to: Shape): Value {
  const starts = axes.filter((axis) => !axes.includes(axis - 1));
  let [value, next] = [x, op];
  for (const start of starts.reverse()) {
    const { shape } = value;
    const end = ends(axes, start);
    const joined = present(elementsOf(shape.slice(start, end)));
    const line = build.reshape(value, [...shape.slice(0, start), joined, ...shape.slice(end)]);
    value = sumLine(next, line, start);
    next = "ReduceSum";
  }
  return build.reshape(value, to);
}

/** The sum over some axes, which are dropped, of what has no other shape: axis by axis, the innermost first. */
function reducePairs(op: SumOp, x: Value, axes: readonly number[]): Value {
  const [last, ...others] = leadingOf([...axes].reverse(), 1);
  return others.reduce((sum, axis) => sumSlices("ReduceSum", sum, axis), sumSlices(op, x, last));
}

/** Whether the samples lie along two axes: then it cannot be given another shape. */
function ofPairs({ shape }: Value): boolean {
  return shape.filter(isBatch).length > 1;
}

function ends(axes: readonly number[], start: number): number {
  let end = start;
  while (axes.includes(end)) end++;
  return end;
}

/** The sum along one axis, which is dropped. */
function sumLine(op: SumOp, value: Value, axis: number): Value {
  const dim = nth(value.shape, axis);
  const length = factorOf(dim);
  if (isBatch(dim) && length > 1) return sumSamples(op, value, axis);
  if (isBatch(dim) && axis === 0 && op === "ReduceSum") return overSamples(value);
  if (length <= mostAlong(op, value.shape, axis)) return build.reduce(op, value, [axis]);
  const blocks = cut(value, axis, blockSize(length));
  return sumLine("ReduceSum", build.reduce(op, blocks, [axis + 1]), axis);
}

function mostAlong(op: SumOp, shape: Shape, axis: number): number {
  const single = (dims: Shape) => dims.every((dim) => dim === 1);
  if (single(shape.slice(axis + 1))) return mostInARow[op];
  return Math.min(mostInARow[op], single(shape.slice(0, axis)) ? mostRows.outermost : mostRows.inner);
}

/** The sum along one axis, which is dropped; of a long one in slices. */
function sumSlices(op: SumOp, value: Value, axis: number): Value {
  const length = factorOf(nth(value.shape, axis));
  if (length <= mostInARow[op]) return build.reduce(op, value, [axis]);
  const size = Math.max(mostInARow[op], Math.ceil(length / mostTerms));
  const slices = Array.from({ length: Math.ceil(length / size) }, (_, k) =>
    build.slice(value, axis, k * size, Math.min((k + 1) * size, length)),
  );
  return build.op(
    "Sum",
    slices.map((slice) => build.reduce(op, slice, [axis])),
  );
}

/** Samples that are folded with others: first over these, then over the samples. */
function sumSamples(op: SumOp, value: Value, axis: number): Value {
  const { shape } = value;
  const length = factorOf(nth(shape, axis));
  const split = build.reshape(value, [...shape.slice(0, axis), N, length, ...shape.slice(axis + 1)]);
  const each = sumLine(op, split, axis + 1);
  const rest = elementsOf(shape.slice(1));
  if (axis > 0 || rest === undefined) return build.reduce("ReduceSum", each, [axis]);
  return build.reshape(overSamples(each), shape.slice(1));
}

/** The sum over the first axis, `[N]`, which is dropped. */
function overSamples(value: Value): Value {
  const rest = value.shape.slice(1);
  const size = elementsOf(rest);
  if (size === undefined || isBatch(size)) return build.reduce("ReduceSum", value, [0]);
  // The runtime multiplies by ones faster than it sums over the first axis, and with less error.
  const ones = build.expand(build.scalar(1, value), [1, N]);
  return build.reshape(build.matmul(ones, build.reshape(value, [N, size])), rest);
}

/** Elements of a block of an axis, from half of `most` up: so many that no padding is needed, where there is such a number. */
function blockSize(length: number, most = usualBlock): number {
  for (let size = most; 2 * size >= most; size--) if (length % size === 0) return size;
  return most;
}

/** An axis `[k]` as blocks, `[k / size, size]`, with zeros behind where it does not divide; `[N*k]` as `[N*k / size, size]`. */
function cut(value: Value, axis: number, size: number): Value {
  const { shape } = value;
  const dim = nth(shape, axis);
  const length = factorOf(dim);
  const count = Math.ceil(length / size);
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const blocks = isBatch(dim) ? { perSample: count } : count;
  const missing = count * size - length;
  if (missing === 0) return build.reshape(value, [...before, blocks, size, ...after]);
  const samples = isBatch(dim) ? [N] : [];
  const single = build.reshape(value, [...before, ...samples, length, ...after]);
  const at = axis + samples.length;
  const padding = single.shape.map((_, k) => (k === at ? missing : 0));
  const padded = build.pad(
    single,
    padding.map(() => 0),
    padding,
  );
  return build.reshape(padded, [...before, blocks, size, ...after]);
}

// Exponentials

/** Classes whose exponentials the runtime adds up well enough: it takes many at a time. */
const mostClasses = 2 ** 16;

function belowMaximum(x: Value, axes: readonly number[]): [shifted: Value, shift: Value] {
  const most = build.reduce("ReduceMax", x, axes, true);
  const finite = build.where(build.op("IsInf", [most]), build.scalar(0, most), most);
  return [build.sub(x, finite), finite];
}

function softmaxInBlocks(node: Node, finish: (shifted: Value, sum: Value) => Value): Value | null {
  const x = inputOf(node, 0);
  const axis = normalAxis(node, intAttribute(node, "axis", -1), x.shape.length);
  if (isBatch(x.shape[axis]) || factorOf(nth(x.shape, axis)) <= mostClasses) return null;
  const [shifted, { shape: kept }] = belowMaximum(x, [axis]);
  return finish(shifted, reduce("ReduceSum", build.exp(shifted), [axis], kept));
}

/** Sums of all elements up to each: within blocks, and on top of them the sums of the blocks before. */
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

// Products

/** Samples that are counted on, where their number decides. */
const someSamples = 64;

/**
 * The longest inner axis that is left whole. The runtime takes an inner axis in blocks of its own: of 128 where the result
 * has 128 columns or more, of more the fewer it has, and adds their sums one by one.
 */
function longestInner(rows: number, columns: number, inner: Dim): number {
  // One row or column: the samples one by one, however many there are.
  if (isVector(rows, columns)) return isBatch(inner) ? 1 : 2 * vectorBlock;
  if (columns < 32) return rows * columns <= 512 ? 256 : 1024;
  if (columns < wide || isBatch(inner)) return 4096;
  return 2 ** 14;
}

/** With one row or one column the runtime adds up one product after the other, and is slower at it than by blocks. */
const isVector = (rows: number, columns: number): boolean => rows === 1 || columns === 1;
const vectorBlock = 32;

const sizeOfDim = (dim: Dim): number => factorOf(dim) * (isBatch(dim) ? someSamples : 1);

/** A product of matrices `[..., M, K]` and `[..., K, P]` in blocks along K; null where K is short. */
function product(left: Value, right: Value): Value | null {
  const [rows, columns] = leadingOf(
    [left.shape.at(-2), right.shape.at(-1)].map((dim) => sizeOfDim(present(dim))),
    2,
  );
  const inner = present(left.shape.at(-1));
  const length = factorOf(inner);
  if (length <= longestInner(rows, columns, inner)) return null;
  // The blocks' products are about as many numbers as what they are made from, at most.
  const fewest = (2 * rows * columns) / (rows + columns);
  const vector = isVector(rows, columns);
  const few = vector && isBatch(inner) && length <= 2 * vectorBlock;
  const size = few
    ? length
    : productBlock(length, columns, Math.max(vector ? vectorBlock : usualBlock, Math.ceil(fewest)));
  if (!few && 2 * size > length) return null;
  const products = build.matmul(cutLeft(left, size), cutRight(right, size));
  // [..., n, M, P], or [..., m, n, M, P] where there are many blocks, and so on
  const levels = products.shape.length - Math.max(left.shape.length, right.shape.length);
  const axes = Array.from({ length: levels }, (_, k) => products.shape.length - 3 - k);
  return axes.reduce((sum, axis) => (ofPairs(sum) ? sumSlices : sumLine)("ReduceSum", sum, axis), products);
}

/** With so many columns the runtime takes an inner axis in blocks of its own, so that ours may be longer. */
const wide = 128;
const longBlock = 2048;

/** As `blockSize`; of wide products rather more elements than zeros, which take a copy of a weight that may be large. */
function productBlock(length: number, columns: number, most: number): number {
  const size = blockSize(length, most);
  if (length % size === 0 || columns < wide) return size;
  for (let longer = most + 1; longer <= Math.max(2 * most, longBlock); longer++)
    if (length % longer === 0) return longer;
  return size;
}

/** An axis as blocks, blocks of blocks, and so on, until there are few of the outermost. */
function cutDeep(value: Value, axis: number, size: number): Value {
  const blocks = cut(value, axis, size);
  const count = factorOf(nth(blocks.shape, axis));
  return count > mostBlocks ? cutDeep(blocks, axis, blockSize(count, mostBlocks)) : blocks;
}

/** `[..., M, K]` as `[..., K / size, M, size]`. */
function cutLeft(value: Value, size: number): Value {
  const source = beforeTurn(value);
  const rank = value.shape.length;
  if (source) return build.transposeLast(cutDeep(source, rank - 2, size));
  const blocks = cutDeep(value, rank - 1, size);
  return build.moveAxis(blocks, rank - 2, blocks.shape.length - 2);
}

/** `[..., K, P]` as `[..., K / size, size, P]`. */
function cutRight(value: Value, size: number): Value {
  const source = beforeTurn(value);
  const rank = value.shape.length;
  if (!source) return cutDeep(value, rank - 2, size);
  const blocks = cutDeep(source, rank - 1, size);
  return build.moveAxis(blocks, rank - 2, blocks.shape.length - 1);
}

/** What a value is with its last two axes exchanged, where a node does only that. */
function beforeTurn(value: Value): Value | null {
  const node = nodeOf(value);
  const permutation = node?.op === "Transpose" ? intsAttribute(node, "perm") : undefined;
  if (!node || !permutation) return null;
  const rank = permutation.length;
  const turn = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return String(permutation) === String(turn) ? inputOf(node, 0) : null;
}

// Sums of many tensors

/** Tensors that are added one to another. */
const mostTerms = 32;

function inGroups(terms: readonly Value[]): Value {
  if (terms.length <= mostTerms) return build.op("Sum", terms);
  const size = Math.ceil(Math.sqrt(terms.length));
  const groups = Array.from({ length: Math.ceil(terms.length / size) }, (_, k) =>
    build.op("Sum", terms.slice(k * size, (k + 1) * size)),
  );
  return inGroups(groups);
}
