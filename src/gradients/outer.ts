import { fixedSize, multiply, N, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { nth, present } from "../present.js";
import { costOfSquare, slowdown, usualBatch } from "./cost.js";
import {
  type Cost,
  type DotMethod,
  denseDot,
  denseNorm,
  denseSquares,
  denseSum,
  type Factored,
  meanOfSamples,
  type NormMethod,
  notNegative,
  type SquaresMethod,
  type SumMethod,
  sampleCount,
  sizeOfGradient,
  squaredDeviations,
  sumOfSquares,
  sumPerSample,
  weighted,
  weightedSumOf,
} from "./factored.js";
import { sameValue } from "./same-value.js";
import type { View } from "./view.js";

/**
 * Gradient n is the sum over positions t of rows[n, t] times the transpose of columns[n, t], `[I, O]`; with blocks b,
 * one such matrix for each block, `[B, I, O]`. Linear layers, attention projections and (after unfolding) convolutions
 * have this form: Goodfellow 2015, "Efficient per-example gradient computations".
 */
export class Outer implements Factored {
  readonly kind: Factored["kind"] = "outer";
  readonly oneProduct = true;
  readonly shape: Shape;
  readonly positions: number;
  readonly rows: Value;
  readonly columns: Value;
  readonly viewed: View;
  readonly #sizes: { readonly blocks: number; readonly rows: number; readonly columns: number };

  /**
   * @param rows `[N, T, I]` or `[N, B, T, I]`
   * @param columns `[N, T, O]` or `[N, B, T, O]`
   * @param viewed the view of the raw shape `[I, O]` or `[B, I, O]`
   * @param fades whether the cotangents come through the steps of a loop
   */
  constructor(
    rows: Value,
    columns: Value,
    viewed: View,
    readonly fades = false,
  ) {
    // A view that begins with a transposition becomes a view of the exchanged factors, so that equal gradients have one
    // form.
    const rank = viewed.raw.length;
    const [first] = viewed.steps;
    const exchange = [...Array(rank - 2).keys(), rank - 1, rank - 2];
    const flip = first?.kind === "transpose" && String(first.permutation) === String(exchange);
    this.rows = flip ? columns : rows;
    this.columns = flip ? rows : columns;
    this.viewed = flip ? viewed.after(exchange) : viewed;
    this.shape = viewed.shape;
    const dim = (value: Value, fromEnd: number) => fixedSize(value.shape, value.shape.length - fromEnd);
    this.positions = dim(rows, 2);
    const blocks = rows.shape.length === 4 ? fixedSize(rows.shape, 1) : 1;
    this.#sizes = { blocks, rows: dim(this.rows, 1), columns: dim(this.columns, 1) };
  }

  get materialisation(): Cost {
    const size = sizeOfGradient(this);
    // A matrix product first rearranges its factors.
    return { operations: size * this.positions, floats: size + (this.positions === 1 ? 0 : 2 * this.held) };
  }

  get terms(): readonly [this] {
    return [this];
  }

  get factors(): readonly [Value, Value] {
    return [this.rows, this.columns];
  }

  withFactors([rows, columns]: readonly [Value, Value]): Outer {
    return this.with(rows, columns, this.viewed);
  }

  get held(): number {
    const { blocks, rows, columns } = this.#sizes;
    return blocks * this.positions * (rows + columns);
  }

  /** The length of the raw matrix's shorter side. */
  get narrow(): number {
    return Math.min(this.#sizes.rows, this.#sizes.columns);
  }

  get blocked(): boolean {
    return this.rows.shape.length === 4;
  }

  view(step: ViewStep): Outer {
    return this.with(this.rows, this.columns, this.viewed.andThen(step));
  }

  along(build: Build, step: Along): Outer | null {
    const first = this.blocked ? 1 : 0;
    const free = this.#sizes.rows < this.#sizes.columns ? first : first + 1;
    const on = this.viewed.along(step, free);
    if (!on || on.raw < first) return null;
    const rows = on.raw === first;
    return this.with(
      rows ? on.apply(build, this.rows) : this.rows,
      rows ? this.columns : on.apply(build, this.columns),
      on.view,
    );
  }

  scaled(build: Build, factor: Value): Outer {
    const narrow = this.#sizes.rows < this.#sizes.columns;
    const scale = (value: Value, chosen: boolean) => (chosen ? build.mul(value, factor) : value);
    return this.with(scale(this.rows, narrow), scale(this.columns, !narrow), this.viewed);
  }

  /**
   * The sum of two gradients with equal views: one with the positions of both or, if they share a factor, with the sum
   * of the other factor.
   */
  join(build: Build, other: Outer): Outer {
    if (sameValue(this.rows, other.rows))
      return this.with(this.rows, build.add(this.columns, other.columns), this.viewed);
    if (sameValue(this.columns, other.columns))
      return this.with(build.add(this.rows, other.rows), this.columns, this.viewed);
    const axis = this.rows.shape.length - 2;
    const both = (a: Value, b: Value) => build.concat([a, b], axis);
    return this.with(both(this.rows, other.rows), both(this.columns, other.columns), this.viewed);
  }

  /** A gradient of the same kind with other factors. */
  protected with(rows: Value, columns: Value, viewed: View): Outer {
    return new Outer(rows, columns, viewed, this.fades);
  }

  /** The raw gradients, `[N, (B,) I, O]`. */
  raw(build: Build): Value {
    const { shape } = this.rows;
    const exchanged =
      this.positions === 1
        ? build.reshape(this.rows, [...shape.slice(0, -2), nth(shape, shape.length - 1), 1])
        : build.transposeLast(this.rows);
    return build.matmul(exchanged, this.columns);
  }

  materialise(build: Build): Value {
    return this.viewed.apply(build, this.raw(build));
  }

  squaredNorms(): readonly NormMethod[] {
    const { blocks, rows, columns } = this.#sizes;
    const t = this.positions;
    const dense = { ...denseNorm(this), emit: (build: Build) => sumOfSquares(build, this.raw(build)) };
    if (t === 1) {
      const closed = { name: "closed form", operations: 0, floats: costOfSquare * this.held, dense: false };
      return [{ ...closed, emit: (build) => this.#closedForm(build) }, dense];
    }
    const gram = {
      name: "Gram",
      operations: t * t * blocks * (rows + columns) * slowdown(this),
      floats: 5 * t * t * blocks + 2 * this.held,
      dense: false,
      emit: (build: Build) => this.#gram(build, 1),
    };
    // Takes a quarter of the memory, and a tenth to a third more time, because each part reads the whole other factor
    // again.
    const inParts = {
      ...gram,
      name: "Gram in parts",
      floats: gram.floats + 8 * this.held,
      emit: (build: Build) => this.#gram(build, 4),
    };
    return [dense, gram, inParts];
  }

  /** For one position: the product of the squared norms of the two vectors. */
  #closedForm(build: Build): Value {
    return sumPerSample(build, build.mul(...this.squaredVectors(build)));
  }

  /** For one position: the squared norms of the two vectors, `[N]`, or `[N, B, 1]`. */
  squaredVectors(build: Build): [Value, Value] {
    const squares = (value: Value) => {
      const vectors = this.blocked ? value : build.reshape(value, [N, nth(value.shape, 2)]);
      return build.reduce("ReduceSumSquare", vectors, [vectors.shape.length - 1]);
    };
    return [squares(this.rows), squares(this.columns)];
  }

  /**
   * The sum over positions t, s of (rows_t . rows_s)(columns_t . columns_s): Rochette et al. 2019, Li et al.
   * 2022 ("ghost norm").
   */
  #gram(build: Build, parts: number): Value {
    const axis = this.rows.shape.length - 2;
    const size = Math.max(1, Math.ceil(this.positions / parts));
    const sums: Value[] = [];
    for (let start = 0; start === 0 || start < this.positions; start += size) {
      const end = Math.min(start + size, this.positions);
      const gramOf = (value: Value) => {
        const own = parts === 1 ? value : build.slice(value, axis, start, end);
        return build.matmul(own, build.transposeLast(value));
      };
      sums.push(sumPerSample(build, build.mul(gramOf(this.rows), gramOf(this.columns))));
    }
    return notNegative(
      build,
      sums.reduce((sum, part) => build.add(sum, part)),
    );
  }

  weightedSums(): readonly SumMethod[] {
    const { blocks, rows, columns } = this.#sizes;
    const contract: SumMethod = {
      name: "contract",
      operations: sizeOfGradient(this) * this.positions,
      // The weights scale one factor, and both factors are rearranged.
      floats: 2 * blocks * this.positions * Math.min(rows, columns) + 2 * this.held,
      once: sizeOfGradient(this),
      dense: false,
      emit: (build, weights) => this.viewed.apply(build, this.contracted(build, weights)),
    };
    const dense: SumMethod = {
      ...denseSum(this),
      emit: (build, weights) => this.viewed.apply(build, weightedSumOf(build, this.raw(build), weights)),
    };
    return [contract, dense];
  }

  dots(): readonly DotMethod[] {
    const { blocks, columns } = this.#sizes;
    const size = sizeOfGradient(this);
    const contract: DotMethod = {
      name: "contract",
      operations: size * this.positions,
      floats: 2 * blocks * this.positions * columns,
      dense: false,
      emit: (build, vector) => {
        const products = build.matmul(this.rows, this.viewed.undo(build, vector));
        return sumPerSample(build, build.mul(products, this.columns));
      },
    };
    return [contract, denseDot(this)];
  }

  sumsOfSquares(): readonly SquaresMethod[] {
    const dense: SquaresMethod = {
      ...denseSquares(this),
      emit: (build) => this.viewed.apply(build, squaredDeviations(build, this.raw(build))),
    };
    if (this.positions !== 1) return [dense];
    const contract: SquaresMethod = {
      name: "contract squares",
      operations: 3 * sizeOfGradient(this),
      floats: 4 * this.held,
      dense: false,
      emit: (build) => this.viewed.apply(build, this.#contractSquares(build)),
    };
    return [contract, dense];
  }

  /**
   * For one position. Let r and c be the factors' means, and r' and c' the factors minus these. r c is near the mean of
   * the gradients, and a gradient minus r c is r c' + r' columns. The sum of the squares of these is computed, and N
   * times the square of their own mean is subtracted. (If the factors vary much but their products hardly do, rounding shows.)
   */
  #contractSquares(build: Build): Value {
    const { rows, columns, viewed } = this;
    const [r, c] = [meanOfSamples(build, rows), meanOfSamples(build, columns)];
    const [rowsLeft, columnsLeft] = [build.sub(rows, r), build.sub(columns, c)];
    const sum = (x: Value, y: Value) => this.with(x, y, viewed).contracted(build, null);
    const first = build.mul(
      build.transposeLast(build.square(r)),
      build.reduce("ReduceSumSquare", columnsLeft, [0], true),
    );
    const second = sum(build.square(rowsLeft), build.square(columns));
    const crossed = sum(build.mul(r, rowsLeft), build.mul(columns, columnsLeft));
    const squares = build.add(build.add(build.reshape(first, viewed.raw), second), build.scale(crossed, 2));
    const left = sum(rowsLeft, columnsLeft);
    return notNegative(build, build.sub(squares, build.div(build.square(left), sampleCount(build))));
  }

  /** The raw weighted sum, `[(B,) I, O]`: one matrix product over samples and positions. */
  contracted(build: Build, weights: Value | null): Value {
    // A weight that all samples share can scale the sum instead.
    const { rows: height, columns: width } = this.#sizes;
    const factor = usualBatch * this.positions * Math.min(height, width);
    if (weights?.shape.length === 0 && height * width < factor) return build.mul(this.contracted(build, null), weights);
    const narrow = this.#sizes.rows < this.#sizes.columns;
    const vectors = this.positions === 1 && !this.blocked;
    const scaled = (value: Value, chosen: boolean) => {
      // For one position, [N, I] is the value before it got an axis of positions, so that equal nodes are merged.
      const own = vectors ? flatten(build, value) : value;
      return chosen ? weighted(build, own, weights) : own;
    };
    const flat = (value: Value) => (vectors ? value : flatten(build, value));
    const rows = flat(scaled(this.rows, narrow));
    const columns = flat(scaled(this.columns, !narrow));
    if (rows.shape.length === 2) return build.op("Gemm", [rows, columns], { transA: 1 });
    return build.matmul(build.transposeLast(rows), columns);
  }
}

/** Joins samples and positions into one axis: `[N*T, I]`, or `[B, N*T, I]`. */
function flatten(build: Build, value: Value): Value {
  const rank = value.shape.length;
  const [positions, size] = value.shape.slice(-2) as [number, number];
  const joined = present(multiply(N, positions));
  if (rank === 3) return build.reshape(value, [joined, size]);
  return build.reshape(build.moveAxis(value, 1, 0), [nth(value.shape, 1), joined, size]);
}
