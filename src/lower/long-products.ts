/** Matrix products along long inner axes, in blocks. */

import { type Dim, factorOf, isBatch } from "../graph/dim.js";
import { inputOf } from "../graph/operands.js";
import { nodeOf, type Value } from "../graph/value.js";
import { intsAttribute } from "../ops/checks.js";
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
  return 2 ** 14;
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
