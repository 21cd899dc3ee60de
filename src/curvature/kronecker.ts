/**
 * Kronecker-factored curvature. For each layer, the Kronecker product of the second moments of its inputs (A) and of its
 * cotangents (B) approximates the layer's block of the curvature (Martens and Grosse 2015, "Optimizing neural networks with
 * Kronecker-factored approximate curvature"; for layers of several positions Eschenhagen et al. 2023). EK-FAC adds second
 * moments of the gradients in a basis of eigenvectors (George et al. 2018).
 */
import { Dense } from "../gradients/dense.js";
import { type Factored, sampleCount } from "../gradients/factored.js";
import { Outer } from "../gradients/outer.js";
import { RowsGradient } from "../gradients/rows.js";
import { View } from "../gradients/view.js";
import { substitute } from "../graph/body.js";
import { fixedSize, multiply, N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { addRows } from "../ops/subgraphs/table.js";
import { leadingOf, nth, present } from "../present.js";
import type { Differentiable } from "./differentiable.js";
import { type Block, blocksOf, type Layer, type Pair, parametersOf, positionsIn, type Table } from "./layers.js";
import { type Gradients, sumOfProducts } from "./products.js";
import { type PseudoTargetKind, pseudoTargets } from "./pseudo-targets.js";

/**
 * How a layer's positions are put together: "expand" counts each as a sample; "reduce" takes the mean of the inputs and the sum
 * of the cotangents.
 */
export type Approximation = "expand" | "reduce";

/**
 * The second moments of a block's two sides, as means over the samples. Both sides of a matrix have the trace of the whole, but
 * their product must have it once: one is divided by it where all samples have been counted.
 */
export interface Sides {
  readonly block: Block;
  /** Those of the rows of the block's matrix, `[R, R]`, or only their diagonal, `[R]`; null if there is one row. */
  readonly rows: Value | null;
  /** Those of its columns, `[C, C]` or `[C]`. */
  readonly columns: Value;
}

/** Up to this size, a side, or a vector, has a full matrix of second moments; a larger one has only the diagonal. */
export interface FullFactorSizes {
  readonly side: number;
  readonly vector: number;
}

/** The default. Finding the eigenvectors of a side of 2,048 takes some ten seconds. */
export const usualSizes: FullFactorSizes = { side: 2048, vector: 256 };

/** The blocks of all parameters, for the gradients of pseudo-targets and for the gradients with which they are multiplied. */
class PairedBlocks {
  readonly #targets;
  readonly pairs: readonly Pair[];

  constructor(of: Differentiable, kind: PseudoTargetKind) {
    this.#targets = pseudoTargets(of, kind);
    const { gradients, weighted, seed } = this.#targets;
    this.pairs = blocksOf(gradients, weighted, seed);
  }

  /** Sums, over pseudo-targets, the values that `emit` makes for each pair. */
  sums(emit: (pair: Pair, k: number) => readonly Value[]): Value[][] {
    const parts = this.pairs.map(emit);
    const sums = this.#targets.sum(parts.flat().map((value) => ({ value })));
    let taken = 0;
    return parts.map(({ length }) => {
      const from = taken;
      taken += length;
      return sums.slice(from, taken);
    });
  }
}

/** The blocks of the parameters, for messages and explanations too. */
export function blocksFor(of: Differentiable, kind: PseudoTargetKind): readonly Block[] {
  return new PairedBlocks(of, kind).pairs.map(({ block }) => block);
}

/** The sides of all blocks, each a mean over the samples. */
export function kroneckerSides(
  of: Differentiable,
  kind: PseudoTargetKind,
  approximation: Approximation,
  sizes: FullFactorSizes,
): Sides[] {
  const paired = new PairedBlocks(of, kind);
  const sums = paired.sums((pair) => cotangentMoments(pair, approximation, sizes));
  // phi is the sum of a sample's terms; the sample's loss is the mean of these terms.
  const terms = kind === "empirical" ? of.terms : 1;
  return paired.pairs.map(({ block }, k) =>
    sidesOf(block, nth(sums, k).map(perSample), terms, { approximation, sizes }),
  );
}

function perSample(value: Value): Value {
  return build.div(value, sampleCount(build));
}

function sidesOf(
  block: Block,
  moments: readonly Value[],
  terms: number,
  { approximation, sizes }: { readonly approximation: Approximation; readonly sizes: FullFactorSizes },
): Sides {
  const [own] = leadingOf(moments, 1);
  switch (block.kind) {
    case "vector":
      return { block, rows: null, columns: own };
    case "matrix":
      return { block, rows: own, columns: nth(moments, 1) };
    case "table":
      return { block, rows: perSample(picked(block)), columns: build.scale(own, terms) };
    case "layer": {
      const inputs = inputMoments(block, approximation, sizes);
      return { block, rows: build.scale(own, terms), columns: perSample(inputs) };
    }
  }
}

/** The second moments that depend on the pseudo-target, summed over samples. */
function cotangentMoments(
  { block, weighted }: Pair,
  approximation: Approximation,
  { side, vector }: FullFactorSizes,
): Value[] {
  const own = cotangentsOf(block, approximation);
  const other = block === weighted ? own : cotangentsOf(weighted, approximation);
  const last = fixedSize(own.shape, own.shape.length - 1);
  const moved = momentsAlongLast(own, other, last <= (block.kind === "vector" ? vector : side));
  if (block.kind !== "matrix") return [moved];
  const turn = (value: Value) => build.transposeLast(value);
  const rows = turn(own);
  return [momentsAlongLast(rows, own === other ? rows : turn(other), block.matrix.rows <= side), moved];
}

/** The cotangents of a layer or a table, `[N, S, O]` or `[N, O]`; for other blocks the gradients, `[N, rows, columns]`. */
function cotangentsOf(block: Block, approximation: Approximation): Value {
  if (block.kind === "vector" || block.kind === "matrix") return block.matrix.to(block.gradient.materialise(build));
  const { cotangents } = block.kind === "layer" ? block : block.gradient;
  return approximation === "reduce" ? build.sum(cotangents, [1]) : cotangents;
}

/** The sum of the outer products of all vectors along the last axis, or its diagonal. */
function momentsAlongLast(own: Value, other: Value, full: boolean): Value {
  const rows = rowsOf(own);
  return moments(rows, own === other ? rows : rowsOf(other), full);
}

/** All vectors along the last axis, `[count, size]`. */
function rowsOf(value: Value): Value {
  const size = nth(value.shape, value.shape.length - 1);
  const count = value.shape.slice(0, -1).reduce((product, dim) => present(multiply(product, dim)));
  return build.reshape(value, [count, size]);
}

/** The sum of the outer products of rows, or its diagonal. */
function moments(own: Value, other: Value, full: boolean): Value {
  return full ? build.op("Gemm", [own, other], { transA: 1 }) : sumOfProducts(own, other);
}

/** The second moments of a layer's inputs, with a 1 for the bias: summed over samples, averaged over positions. */
function inputMoments(layer: Layer, approximation: Approximation, { side }: FullFactorSizes): Value {
  const positions = positionsIn(layer);
  const full = layer.matrix.columns + (layer.bias === null ? 0 : 1) <= side;
  const inputs = withOnes(layer, layer.inputs);
  if (approximation === "reduce") {
    const means = rowsOf(build.scale(build.sum(inputs, [1]), 1 / positions));
    return moments(means, means, full);
  }
  const rows = rowsOf(inputs);
  return build.scale(moments(rows, rows, full), 1 / positions);
}

/** The inputs `[N, S, I]` with one more for the bias, if there is one. */
function withOnes({ bias }: Layer, inputs: Value): Value {
  if (bias === null) return inputs;
  const ones = build.expand(build.scalar(1, inputs), [...inputs.shape.slice(0, -1), 1]);
  return build.concat([inputs, ones], inputs.shape.length - 1);
}

/** How often each row of a table was picked, `[V]`: the second moments of its inputs are this diagonal. */
function picked({ gradient: { places, positions, cotangents }, matrix }: Table): Value {
  const count = present(multiply(N, positions));
  const ones = build.expand(build.scalar(1 / positions, cotangents), [count, 1]);
  const table = addRows(build, build.reshape(places, [count]), ones, matrix.rows);
  return build.reshape(table, [matrix.rows]);
}

/** Bases for the rows and the columns of a block's matrix: orthogonal matrices whose columns are the vectors; null for the identity. */
export interface Basis {
  readonly rows: Value | null;
  readonly columns: Value | null;
}

/**
 * The second moments of the gradients in a basis of each block, `[rows, columns]` (with the bias as the last column), as means
 * over the samples: the diagonal of the curvature in that basis.
 */
export function momentsInBasis(
  of: Differentiable,
  kind: PseudoTargetKind,
  basisOf: (block: Block) => Basis,
): Map<string, Value> {
  const paired = new PairedBlocks(of, kind);
  const bases = paired.pairs.map(({ block }) => basisOf(block));
  const inputs = paired.pairs.map(({ block }, k) =>
    block.kind === "layer" ? turned(withOnes(block, block.inputs), nth(bases, k).columns) : null,
  );
  const sums = paired.sums((pair, k) => [momentsOf(pair, nth(bases, k), inputs[k] ?? null)]);
  return new Map(
    paired.pairs.map(({ block }, k) => {
      const [sum] = leadingOf(nth(sums, k), 1);
      const input = inputs[k];
      const whole = input && onePosition(block) ? moments(sum, build.square(rowsOf(input)), true) : sum;
      return [block.name, perSample(whole)];
    }),
  );
}

function onePosition(block: Block): boolean {
  return block.kind === "layer" && positionsIn(block) === 1;
}

/** Vectors along the last axis, in a basis. */
function turned(value: Value, basis: Value | null): Value {
  return basis ? build.matmul(value, basis) : value;
}

/**
 * The sum of the squares over samples. For a layer of one position, only the squares of its cotangents, `[N, O]`: they are
 * multiplied with the inputs, which do not depend on the pseudo-target, in the end.
 */
function momentsOf({ block, weighted }: Pair, basis: Basis, inputs: Value | null): Value {
  const own = inBasis(block, basis, inputs);
  const other = block === weighted ? own : inBasis(weighted, basis, inputs);
  if (onePosition(block)) return build.mul(own, other);
  return block.kind === "table" ? intoTable(block, build.mul(own, other)) : sumOfProducts(own, other);
}

/** The gradients in a basis, `[N, rows, columns]`; for a layer of one position its cotangents, for a table its merged cotangents. */
function inBasis(block: Block, basis: Basis, inputs: Value | null): Value {
  if (block.kind === "table") return block.gradient.merged(build, turned(block.gradient.cotangents, basis.columns));
  if (block.kind === "layer") {
    const cotangents = turned(block.cotangents, basis.rows);
    return onePosition(block) ? rowsOf(cotangents) : build.matmul(build.transposeLast(cotangents), present(inputs));
  }
  return matrixInBasis(block.matrix.to(block.gradient.materialise(build)), basis);
}

/** Of these blocks a basis each. */
export type Bases = ReadonlyMap<Block, Basis>;

/**
 * Each sample's gradients in a basis of each block, `[rows, columns]` (with the bias as the last column), by the block's name:
 * as factors where the block has them.
 */
export function gradientsInBasis(of: Differentiable, bases: Bases): Map<string, Factored> {
  const { gradients, weighted, seed } = pseudoTargets(of, "empirical");
  const ones = new Map([[seed, build.expand(build.scalar(1, of.losses), of.losses.shape)]]);
  const own = new Map(blocksOf(gradients, weighted, seed).map(({ block }) => [block.name, block]));
  return new Map(
    [...bases].map(([block, basis]) => {
      const found = own.get(block.name);
      const gradient =
        found && alike(found, block) ? gradientInBasis(found, basis) : wholeInBasis(block, gradients, basis);
      return [block.name, gradient.withFactors(substitute(gradient.factors, ones))];
    }),
  );
}

/** Blocks are those of pseudo-targets, whose gradients may be factored in another way than the loss's own. */
function alike(a: Block, b: Block): boolean {
  const [biasOfA, biasOfB] = [a, b].map((block) => (block.kind === "layer" ? block.bias : null));
  return (
    a.kind === b.kind && biasOfA === biasOfB && a.matrix.rows === b.matrix.rows && a.matrix.columns === b.matrix.columns
  );
}

function wholeInBasis(block: Block, gradients: Gradients, basis: Basis): Factored {
  const values = new Map(
    parametersOf(block).map((name) => [name, present(gradients.get(name)).materialise(build)] as const),
  );
  return new Dense(matrixInBasis(asMatrix(block, values), basis));
}

function gradientInBasis(block: Block, basis: Basis): Factored {
  const { rows, columns } = block.matrix;
  if (block.kind === "table") {
    const { places, cotangents } = block.gradient;
    return new RowsGradient(places, turned(cotangents, basis.columns), View.of([rows, columns]));
  }
  if (block.kind !== "layer")
    return new Dense(matrixInBasis(block.matrix.to(block.gradient.materialise(build)), basis));
  const inputs = withOnes(block, block.inputs);
  const sizes = [rows, fixedSize(inputs.shape, inputs.shape.length - 1)];
  return new Outer(turned(block.cotangents, basis.rows), turned(inputs, basis.columns), View.of(sizes));
}

/** Matrices `[M, rows, columns]` in the bases of their rows and columns. */
export function matrixInBasis(matrix: Value, { rows, columns }: Basis): Value {
  const moved = turned(matrix, columns);
  return rows ? build.matmul(build.transpose(rows, [1, 0]), moved) : moved;
}

function intoTable({ gradient: { places, positions }, matrix: { rows, columns } }: Table, squares: Value): Value {
  const count = present(multiply(N, positions));
  return addRows(build, build.reshape(places, [count]), build.reshape(squares, [count, columns]), rows);
}

/** A block's parameters, `[M, ...shape]` each, as one matrix `[M, rows, columns]` with the bias as the last column. */
export function asMatrix(block: Block, values: ReadonlyMap<string, Value>): Value {
  const weight = block.matrix.to(present(values.get(block.name)));
  if (block.kind !== "layer" || block.bias === null) return weight;
  const bias = present(values.get(block.bias));
  return build.concat([weight, build.reshape(bias, [nth(bias.shape, 0), block.matrix.rows, 1])], 2);
}

/** The block's parameters, `[M, ...shape]` each, from a matrix `[M, rows, columns]`. */
export function fromMatrix(block: Block, matrix: Value, parameters: ReadonlyMap<string, Value>): Map<string, Value> {
  if (block.kind !== "layer" || block.bias === null) return new Map([[block.name, block.matrix.from(matrix)]]);
  const { columns } = block.matrix;
  const column = build.slice(matrix, 2, columns, columns + 1);
  const { shape } = present(parameters.get(block.bias));
  return new Map([
    [block.name, block.matrix.from(build.slice(matrix, 2, 0, columns))],
    [block.bias, build.reshape(column, [nth(matrix.shape, 0), ...shape])],
  ]);
}
