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

/** Blocks of a product whose sums are added in one go. */
const mostBlocks = 32;

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
  return 2 ** 13;
}

/** With one row or one column the runtime adds up one product after the other, and is slower at it than by blocks. */
const isVector = (rows: number, columns: number): boolean => rows === 1 || columns === 1;
const vectorBlock = 32;

const sizeOfDim = (dim: Dim): number => factorOf(dim) * (isBatch(dim) ? someSamples : 1);

/** A product of matrices `[..., M, K]` and `[..., K, P]` in blocks along K; null where K is short. */
export function product(left: Value, right: Value): Value | null {
  const [rows, columns] = leadingOf(
    [left.shape.at(-2), right.shape.at(-1)].map((dim) => sizeOfDim(present(dim))),
    2,
  );
  const inner = present(left.shape.at(-1));
  const length = factorOf(inner);
  if (length <= longestInner(rows, columns, inner)) return null;
  // The blocks' products are about as many numbers as what they are made from, at most.
  const fewest = Math.ceil((2 * rows * columns) / (rows + columns));
  const vector = isVector(rows, columns);
  const few = vector && isBatch(inner) && length <= 2 * vectorBlock;
  const size = few ? length : productBlock(length, columns, Math.max(vector ? vectorBlock : usualBlock, fewest));
  if (!few && (2 * size > length || (length % size > 0 && length <= mostUnpadded(columns)))) return null;
  if (!isBatch(inner) && columns >= wide && beforeTurn(right) === left && isLarge(left)) return ofSlices(left, size);
  const products = build.matmul(cutLeft(left, size), cutRight(right, size));
  // [..., n, M, P], or [..., m, n, M, P] where there are many blocks, and so on
  const levels = products.shape.length - Math.max(left.shape.length, right.shape.length);
  const axes = Array.from({ length: levels }, (_, k) => products.shape.length - 3 - k);
  return axes.reduce((sum, axis) => (ofPairs(sum) ? sumSlices : sumLine)("ReduceSum", sum, axis), products);
}

/**
 * With so many columns the runtime takes an inner axis in blocks of its own, so that ours may be longer: of so many
 * elements the blocks' products take less than 2 % of the time, and their sum errs hardly more than the runtime's blocks do.
 */
const wide = 128;
const wideBlock = 4096;
const leastWideBlock = 512;

/** The longest inner axis that is rather left whole than padded, which takes a copy of what may be a large weight. */
const mostUnpadded = (columns: number): number => (columns < wide ? 0 : 2 ** 14);

/** As `blockSize`; of wide products such as need no padding, if there are. */
function productBlock(length: number, columns: number, most: number): number {
  if (columns < wide) return blockSize(length, most);
  const usual = Math.max(wideBlock, most);
  for (let size = usual; size >= leastWideBlock; size--) if (length % size === 0) return size;
  for (let size = usual + 1; size <= 2 * usual; size++) if (length % size === 0) return size;
  return usual;
}

/** Whether one sample's part is so large that copies of it take memory and time that count. */
const isLarge = ({ shape, dtype }: Value): boolean => bytesAt(bytesOfValue({ shape, dtype }), 1) >= 2 ** 22;

/**
 * A matrix times itself, turned, as a sum of such products of slices of its columns, about of a size. Other blocks would
 * be two copies of the whole.
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

/**
 * Terms that a sample adds to each element of a product that sums over the samples: the most of any. 0 where there is no
 * such product; those with a single row or column do not count, as each sample's positions are summed first.
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

/** What a value is with its last two axes exchanged, where a node does only that. */
function beforeTurn(value: Value): Value | null {
  const node = nodeOf(value);
  const permutation = node?.op === "Transpose" ? intsAttribute(node, "perm") : undefined;
  if (!node || !permutation) return null;
  const rank = permutation.length;
  const turn = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return String(permutation) === String(turn) ? inputOf(node, 0) : null;
}
