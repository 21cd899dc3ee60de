import { elementsOf, fixedSize } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { addRows, beforeRepeated } from "../ops/subgraphs/table.js";
import { leadingOf, present } from "../present.js";
import { costOfSquare, slowdown } from "./cost.js";
import {
  type Cost,
  costOfScatter,
  type DotMethod,
  denseDot,
  denseNorm,
  denseSquares,
  denseSum,
  type Factored,
  type NormMethod,
  notNegative,
  type SquaresMethod,
  type SumMethod,
  sizeOfGradient,
  sumOfSquares,
  sumPerSample,
  weighted,
} from "./factored.js";
import { scatterPerSample } from "./scatter-per-sample.js";
import type { View } from "./view.js";

/**
 * The gradients of a table whose rows were picked (an embedding): row places[n, t] of gradient n receives cotangents[n,
 * t]. If a sample picks a row several times, its cotangents add up.
 */
export class RowsGradient implements Factored {
  readonly kind = "rows";
  readonly blocked = false;
  readonly shape: View["shape"];
  readonly positions: number;
  /** The cotangents; `[N, 1, R]` if all positions receive the same one, as when their mean is taken. */
  readonly received: Value;
  readonly #rows: number;
  readonly #size: number;

  /**
   * @param places `[N, T]`, int64, from 0
   * @param cotangents `[N, T, R]`
   * @param viewed the view of the raw shape `[V, R]`
   * @param fades whether the cotangents come through the steps of a loop
   */
  constructor(
    readonly places: Value,
    readonly cotangents: Value,
    readonly viewed: View,
    readonly fades = false,
  ) {
    this.shape = viewed.shape;
    this.positions = fixedSize(places.shape, 1);
    this.received = beforeRepeated(cotangents);
    [this.#rows, this.#size] = viewed.raw as [number, number];
  }

  get terms(): readonly [this] {
    return [this];
  }

  get factors(): readonly [Value, Value] {
    return [this.places, this.cotangents];
  }

  withFactors([places, cotangents]: readonly [Value, Value]): RowsGradient {
    return this.#with(places, cotangents, this.viewed);
  }

  #with(places: Value, cotangents: Value, viewed: View): RowsGradient {
    return new RowsGradient(places, cotangents, viewed, this.fades);
  }

  get held(): number {
    return this.positions * (this.#size + 1);
  }

  /** The number of positions with different cotangents. */
  get #received(): number {
    return fixedSize(this.received.shape, 1);
  }

  get materialisation(): Cost {
    return { operations: 0, floats: sizeOfGradient(this) + this.#scattered };
  }

  /** The cost of scattering the cotangents, in floats. */
  get #scattered(): number {
    return costOfScatter * this.positions * this.#size;
  }

  view(step: ViewStep): RowsGradient {
    return this.#with(this.places, this.cotangents, this.viewed.andThen(step));
  }

  along(build: Build, step: Along): RowsGradient | null {
    const on = this.viewed.along(step, 1);
    if (!on) return null;
    if (on.raw === 1)
      return this.#with(
        this.places,
        this.#mapped(build, (rows) => on.apply(build, rows)),
        on.view,
      );
    const whole = this.shape[step.axis] === this.#rows && this.viewed.inOrder(0);
    if (step.shift === undefined || !whole || step.size === 0) return null;
    return this.#shifted(build, step.shift, step.size, on.view);
  }

  /** The rows in a table of `size` rows, `shift` rows further down; rows that fall outside are left out. */
  #shifted(build: Build, shift: number, size: number, view: View): RowsGradient {
    const { places, cotangents } = this;
    const moved = shift === 0 ? places : build.add(places, build.scalar(shift, places));
    if (shift >= 0 && shift + this.#rows <= size) return this.#with(moved, cotangents, view);
    const zero = build.scalar(0, places);
    const inside = build.and(build.greaterOrEqual(moved, zero), build.less(moved, build.scalar(size, places)));
    const kept = build.mask(build.unsqueeze(inside, [2]), cotangents);
    return this.#with(build.where(inside, moved, zero), kept, view);
  }

  scaled(build: Build, factor: Value): RowsGradient {
    const scaled = this.#mapped(build, (rows) => build.mul(rows, factor));
    return this.#with(this.places, scaled, this.viewed);
  }

  /** The cotangents mapped along R: `[N, T, R']`. */
  #mapped(build: Build, map: (received: Value) => Value): Value {
    const mapped = map(this.received);
    const [samples, , size] = leadingOf(mapped.shape, 3);
    return build.expand(mapped, [samples, this.positions, size]);
  }

  /** The sum of two gradients with equal views: one with the positions of both. */
  join(build: Build, other: RowsGradient): RowsGradient {
    const both = (a: Value, b: Value) => build.concat([a, b], 1);
    return this.#with(both(this.places, other.places), both(this.cotangents, other.cotangents), this.viewed);
  }

  materialise(build: Build): Value {
    const { places, cotangents } = this;
    return this.viewed.apply(build, scatterPerSample(build, places, cotangents, this.#rows));
  }

  squaredNorms(): readonly NormMethod[] {
    const [t, size] = [this.positions, this.#size];
    if (t <= 1) {
      const emit = (build: Build) => sumOfSquares(build, this.cotangents);
      return [{ name: "closed form", operations: 0, floats: costOfSquare * t * size, dense: false, emit }];
    }
    const gram = {
      name: "Gram",
      operations: this.#received ** 2 * size * slowdown(this),
      floats: 4 * t * t,
      dense: false,
      emit: (build: Build) =>
        this.#received === 1 ? this.#counted(build) : notNegative(build, rowProducts(build, this, this)),
    };
    const merged = {
      name: "merge rows",
      operations: 0,
      floats: 3 * t * t + this.#scattered,
      dense: false,
      emit: (build: Build) => sumOfSquares(build, this.merged(build, this.cotangents)),
    };
    return [gram, merged, denseNorm(this)];
  }

  /**
   * If all positions receive the same cotangent: its squared norm times the number of pairs of positions with equal
   * rows.
   */
  #counted(build: Build): Value {
    return build.mul(sumPerSample(build, this.#same(build)), sumOfSquares(build, this.received));
  }

  /**
   * Cotangents `[N, T, R']`, each added to that of the first position with the same row. Then the rows of a sample
   * differ, and the other positions have 0.
   */
  merged(build: Build, cotangents: Value): Value {
    const first = build.op("ArgMax", [this.#same(build)], { axis: 2, keepdims: 0 });
    return scatterPerSample(build, first, cotangents, this.positions);
  }

  /** 1 where two positions of a sample hold the same row, else 0: `[N, T, T]`. */
  #same(build: Build): Value {
    return build.cast(samePlaces(build, this.places, this.places), "float32");
  }

  weightedSums(): readonly SumMethod[] {
    const scatter: SumMethod = {
      name: "scatter",
      operations: 0,
      floats: this.#scattered,
      // The zeros, and the copy of them to which rows are added.
      once: 2 * sizeOfGradient(this),
      dense: false,
      emit: (build, weights) => this.viewed.apply(build, this.#scatterAll(build, weights)),
    };
    return [scatter, denseSum(this)];
  }

  dots(): readonly DotMethod[] {
    const pick: DotMethod = {
      name: "pick rows",
      operations: 0,
      floats: 3 * this.held,
      dense: false,
      emit: (build, vector) => {
        const picked = build.op("Gather", [this.viewed.undo(build, vector), this.places], { axis: 0 });
        return sumPerSample(build, build.mul(picked, this.cotangents));
      },
    };
    return this.#rows === 0 ? [denseDot(this)] : [pick, denseDot(this)];
  }

  sumsOfSquares(): readonly SquaresMethod[] {
    return [denseSquares(this)];
  }

  /** Adds the rows of all samples into one table, `[V, R]`. */
  #scatterAll(build: Build, weights: Value | null): Value {
    const { places } = this;
    const scaled = this.#mapped(build, (rows) => weighted(build, rows, weights));
    const count = present(elementsOf(places.shape));
    const updates = build.reshape(scaled, [count, this.#size]);
    return addRows(build, build.reshape(places, [count]), updates, this.#rows);
  }
}

/** Whether two positions of a sample hold the same row: `[N, T, S]`, boolean. */
function samePlaces(build: Build, a: Value, b: Value): Value {
  return build.equal(build.unsqueeze(a, [2]), build.unsqueeze(b, [1]));
}

/**
 * The inner products of gradients of two tables of the same shape: the sum over pairs of positions that hold the same
 * row, `[N]`.
 */
export function rowProducts(build: Build, a: RowsGradient, b: RowsGradient): Value {
  const products = build.matmul(a.received, build.transposeLast(b.received));
  return sumPerSample(build, build.mask(samePlaces(build, a.places, b.places), products));
}
