/** Matrix products along long inner axes, in blocks. */

import { bytesAt, bytesOfValue } from "../graph/bytes.js";
import { type Dim, factorOf, fixedSize, isBatch } from "../graph/dim.js";
import { inputOf, inputsOf } from "../graph/operands.js";
import { nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { intAttribute, intsAttribute } from "../ops/checks.js";
import { build } from "../ops/registry.js";
import { leadingOf, nth, present } from "../present.js";
import { blockSize, cut, ofPairs, sumLine, sumSlices, usualBlock } from "./line-sums.js";

/** The most blocks of a product whose sums are added in one go. */
const mostBlocks = 32;

/** The assumed number of samples, where a choice depends on it. */
const someSamples = 64;

/**
 * The longest inner axis that is left whole. The runtime splits an inner axis into blocks of its own (128 long if the
 * result has 128 columns or more, longer if it has fewer) and adds their sums one by one.
 */
function longestInner(rows: number, columns: number, inner: Dim): number {
  // For one row or column it adds the samples one by one, however many there are.
  if (isVector(rows, columns)) return isBatch(inner) ? 1 : 2 * vectorBlock;
  if (columns < 32) return rows * columns <= 512 ? 256 : 1024;
  if (columns < wide || isBatch(inner)) return 4096;
  return 2 ** 13;
}

/** For one row or one column, the runtime adds one product after another, and is slower at it than in blocks. */
const isVector = (rows: number, columns: number): boolean => rows === 1 || columns === 1;
const vectorBlock = 32;

const sizeOfDim = (dim: Dim): number => factorOf(dim) * (isBatch(dim) ? someSamples : 1);

/** A product of matrices `[..., M, K]` and `[..., K, P]` in blocks along K; null if K is short. */
export function product(left: Value, right: Value): Value | null {
  const [rows, columns] = leadingOf(
    [left.shape.at(-2), right.shape.at(-1)].map((dim) => sizeOfDim(present(dim))),
    2,
  );
  const inner = present(left.shape.at(-1));
  const length = factorOf(inner);
  if (length <= longestInner(rows, columns, inner)) return null;
  // The blocks' products together are at most about as large as the operands.
  const fewest = Math.ceil((2 * rows * columns) / (rows + columns));
  const vector = isVector(rows, columns);
  const few = vector && isBatch(inner) && length <= 2 * vectorBlock;
  const size = few ? length : productBlock(length, columns, Math.max(vector ? vectorBlock : usualBlock, fewest));
  if (!few && (2 * size > length || (length % size > 0 && length <= mostUnpadded(columns)))) return null;
  if (!isBatch(inner) && columns >= wide && beforeTurn(right) === left && isLarge(left)) return ofSlices(left, size);
  const products = build.matmul(cutLeft(left, size), cutRight(right, size));
  // [..., n, M, P], or [..., m, n, M, P] if there are many blocks, and so on
  const levels = products.shape.length - Math.max(left.shape.length, right.shape.length);
  const axes = Array.from({ length: levels }, (_, k) => products.shape.length - 3 - k);
  return axes.reduce((sum, axis) => (ofPairs(sum) ? sumSlices : sumLine)("ReduceSum", sum, axis), products);
}

/**
 * With this many columns the runtime splits an inner axis into blocks of its own, so our blocks may be longer. With
 * this many elements, adding the blocks' products takes less than 2 % of the time, and is hardly less accurate than the
 * runtime's own blocks.
 */
const wide = 128;
const wideBlock = 4096;
const leastWideBlock = 512;

/** The longest inner axis that is left whole rather than padded, since padding copies what may be a large weight. */
const mostUnpadded = (columns: number): number => (columns < wide ? 0 : 2 ** 14);

/** As `blockSize`; for wide products a size that needs no padding, if there is one. */
function productBlock(length: number, columns: number, most: number): number {
  if (columns < wide) return blockSize(length, most);
  const usual = Math.max(wideBlock, most);
  for (let size = usual; size >= leastWideBlock; size--) if (length % size === 0) return size;
  for (let size = usual + 1; size <= 2 * usual; size++) if (length % size === 0) return size;
  return usual;
}

/** Whether one sample's part is so large that copies of it cost noticeable memory and time. */
const isLarge = ({ shape, dtype }: Value): boolean => bytesAt(bytesOfValue({ shape, dtype }), 1) >= 2 ** 22;

/**
 * A matrix times its own transpose, as a sum of products of slices of its columns, each of about `size`. Other blocks
 * would copy the whole matrix twice.
 */
function ofSlices(matrix: Value, size: number): Value {
  const last = matrix.shape.length - 1;
  const length = fixedSize(matrix.shape, last);
  const width = Math.ceil(length / Math.ceil(length / size));
  const products = Array.from({ length: Math.ceil(length / width) }, (_, k) => {
    const slice = build.slice(matrix, last, k * width, Math.min((k + 1) * width, length));
    return build.matmul(slice, build.transposeLast(slice));
  });
  return addedUp(products);
}

function addedUp(terms: readonly Value[]): Value {
  if (terms.length <= mostBlocks) return build.op("Sum", terms);
  const group = Math.ceil(Math.sqrt(terms.length));
  const groups = Array.from({ length: Math.ceil(terms.length / group) }, (_, k) =>
    build.op("Sum", terms.slice(k * group, (k + 1) * group)),
  );
  return addedUp(groups);
}

/** Splits an axis into blocks, blocks of blocks, and so on, until there are few of the outermost. */
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

/**
 * The number of terms that a sample adds to each element of a product that sums over the samples; the largest in the
 * graph, 0 if there is no such product. Products with a single row or column do not count, because each sample's
 * positions are summed first.
 */
export function summedTerms(outputs: Iterable<Value>): number {
  const terms = nodesBefore(outputs).map((node) => {
    if (node.domain !== "" || (node.op !== "MatMul" && node.op !== "Gemm")) return 0;
    const [left, right] = inputsOf(node, 2);
    const inner = left.shape.at(intAttribute(node, "transA", 0) ? -2 : -1);
    const columns = right.shape.at(intAttribute(node, "transB", 0) ? -2 : -1);
    const rows = left.shape.at(intAttribute(node, "transA", 0) ? -1 : -2);
    return inner === undefined || !isBatch(inner) || rows === 1 || columns === 1 ? 0 : factorOf(inner);
  });
  return Math.max(0, ...terms);
}

/** The operand of a node that only exchanges its last two axes; null for any other value. */
function beforeTurn(value: Value): Value | null {
  const node = nodeOf(value);
  const permutation = node?.op === "Transpose" ? intsAttribute(node, "perm") : undefined;
  if (!node || !permutation) return null;
  const rank = permutation.length;
  const turn = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return String(permutation) === String(turn) ? inputOf(node, 0) : null;
}
