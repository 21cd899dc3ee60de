import { type Dim, elementsOf, multiply, N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { costOfSquare } from "./cost.js";
import {
  type Cost,
  costOfScatter,
  type DotWay,
  denseDot,
  denseNorm,
  denseSquares,
  denseSum,
  type Factored,
  type NormWay,
  notNegative,
  type SquaresWay,
  type SumWay,
  sizeOfGradient,
  sumOfSquares,
  sumPerSample,
} from "./factored.js";
import type { View } from "./view.js";

/**
 * The gradients of a table whose rows were picked (an embedding): row places[n, t] of gradient n receives
 * cotangents[n, t]; rows picked several times by one sample add up.
 */
export class RowsGradient implements Factored {
  readonly kind = "rows";
  readonly shape: View["shape"];
  readonly positions: number;
  readonly #rows: number;
  readonly #size: number;

  /**
   * @param places `[N, T]`, int64, from 0
   * @param cotangents `[N, T, R]`
   * @param viewed of the raw shape `[V, R]`
   */
  constructor(
    readonly places: Value,
    readonly cotangents: Value,
    readonly viewed: View,
  ) {
    this.shape = viewed.shape;
    this.positions = places.shape[1] as number;
    [this.#rows, this.#size] = viewed.raw as [number, number];
  }

  get factors(): readonly [Value, Value] {
    return [this.places, this.cotangents];
  }

  withFactors([places, cotangents]: readonly [Value, Value]): RowsGradient {
    return new RowsGradient(places, cotangents, this.viewed);
  }

  get held(): number {
    return this.positions * (this.#size + 1);
  }

  get materialisation(): Cost {
    return { operations: 0, floats: sizeOfGradient(this) + this.#scattered };
  }

  /** What scattering the cotangents costs, in floats. */
  get #scattered(): number {
    return costOfScatter * this.positions * this.#size;
  }

  view(step: ViewStep): RowsGradient {
    return new RowsGradient(this.places, this.cotangents, this.viewed.andThen(step));
  }

  along(build: Build, step: Along): RowsGradient | null {
    const on = this.viewed.along(step, 1);
    if (!on) return null;
    if (on.raw === 1) return new RowsGradient(this.places, on.apply(build, this.cotangents), on.view);
    const whole = this.shape[step.axis] === this.#rows && this.viewed.inOrder(0);
    if (step.shift === undefined || !whole || step.size === 0) return null;
    return this.#shifted(build, step.shift, step.size, on.view);
  }

  /** Into a table of `size` rows, `shift` rows further down; what falls outside is left out. */
  #shifted(build: Build, shift: number, size: number, view: View): RowsGradient {
    const { places, cotangents } = this;
    const moved = shift === 0 ? places : build.add(places, build.scalar(shift, places));
    if (shift >= 0 && shift + this.#rows <= size) return new RowsGradient(moved, cotangents, view);
    const zero = build.scalar(0, places);
    const inside = build.and(build.greaterOrEqual(moved, zero), build.less(moved, build.scalar(size, places)));
    const kept = build.mask(build.unsqueeze(inside, [2]), cotangents);
    return new RowsGradient(build.where(inside, moved, zero), kept, view);
  }

  scaled(build: Build, factor: Value): RowsGradient {
    return new RowsGradient(this.places, build.mul(this.cotangents, factor), this.viewed);
  }

  /** The sum of two of equal view: one with the positions of both. */
  join(build: Build, other: RowsGradient): RowsGradient {
    const both = (a: Value, b: Value) => build.concat([a, b], 1);
    return new RowsGradient(both(this.places, other.places), both(this.cotangents, other.cotangents), this.viewed);
  }

  materialise(build: Build): Value {
    const { places, cotangents } = this;
    return this.viewed.apply(build, scatterPerSample(build, places, cotangents, this.#rows));
  }

  squaredNorms(): readonly NormWay[] {
    const [t, size] = [this.positions, this.#size];
    if (t <= 1) {
      const emit = (build: Build) => sumOfSquares(build, this.cotangents);
      return [{ name: "closed form", operations: 0, floats: costOfSquare * t * size, dense: false, emit }];
    }
    const gram = {
      name: "Gram",
      operations: t * t * size,
      floats: 4 * t * t,
      dense: false,
      emit: (build: Build) => notNegative(build, rowProducts(build, this, this)),
    };
    const merged = {
      name: "merge rows",
      operations: 0,
      floats: 3 * t * t + this.#scattered,
      dense: false,
      emit: (build: Build) => this.#merged(build),
    };
    return [gram, merged, denseNorm(this)];
  }

  /** Each cotangent added to that at the first position of the same row: then the rows of a sample differ. */
  #merged(build: Build): Value {
    const same = build.cast(samePlaces(build, this.places, this.places), "float32");
    const first = build.op("ArgMax", [same], { axis: 2, keepdims: 0 });
    return sumOfSquares(build, scatterPerSample(build, first, this.cotangents, this.positions));
  }

  weightedSums(): readonly SumWay[] {
    const scatter: SumWay = {
      name: "scatter",
      operations: 0,
      floats: this.#scattered,
      // Zeros, and the copy of them that is added to.
      once: 2 * sizeOfGradient(this),
      dense: false,
      emit: (build, weights) => this.viewed.apply(build, this.#scatterAll(build, weights)),
    };
    return [scatter, denseSum(this)];
  }

  dots(): readonly DotWay[] {
    const pick: DotWay = {
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

  sumsOfSquares(): readonly SquaresWay[] {
    return [denseSquares(this)];
  }

  /** The rows of all samples added into one table, `[V, R]`. */
  #scatterAll(build: Build, weights: Value | null): Value {
    const { places, cotangents } = this;
    const scaled = weights ? build.mul(cotangents, build.reshape(weights, [N, 1, 1])) : cotangents;
    const count = elementsOf(places.shape) as Dim;
    const table = scatter(
      build,
      build.reshape(places, [count]),
      build.reshape(scaled, [count, this.#size]),
      this.#rows,
      this.#size,
    );
    return build.reshape(table, [this.#rows, this.#size]);
  }
}

/** 1 where two positions of a sample hold the same row: `[N, T, S]`, boolean. */
function samePlaces(build: Build, a: Value, b: Value): Value {
  return build.equal(build.unsqueeze(a, [2]), build.unsqueeze(b, [1]));
}

/** The inner products of gradients of tables of one shape: the sum over pairs of positions that hold the same row, `[N]`. */
export function rowProducts(build: Build, a: RowsGradient, b: RowsGradient): Value {
  const products = build.matmul(a.cotangents, build.transposeLast(b.cotangents));
  return sumPerSample(build, build.mask(samePlaces(build, a.places, b.places), products));
}

/** Rows `[N, T, R]` added to `rows` places of each sample: `[N, rows, R]`. */
function scatterPerSample(build: Build, places: Value, updates: Value, rows: number): Value {
  const [samples, positions, size] = updates.shape as [Dim, number, number];
  const shape = [samples, rows, size];
  if (positions === 0 || rows === 0 || size === 0) return build.zeros(shape, updates.dtype);
  const index = build.expand(build.unsqueeze(places, [2]), updates.shape);
  return build.op("ScatterElements", [build.zeros(shape, updates.dtype), index, updates], {
    axis: 1,
    reduction: "add",
  });
}

/**
 * Rows `[count, R]` added to the rows of a table, as a vector `[rows * R]`: ONNX Runtime (1.30) scatters
 * along a single axis nearly four times as fast as into rows.
 */
function scatter(build: Build, places: Value, updates: Value, rows: number, size: number): Value {
  const [count] = updates.shape as [Dim];
  if (count === 0 || rows === 0 || size === 0) return build.zeros([rows * size], updates.dtype);
  const starts = build.reshape(build.mul(places, build.scalar(size, places)), [count, 1]);
  const within = build.ints(Array.from({ length: size }, (_, k) => k));
  const flat = multiply(count, size) as Dim;
  const index = build.reshape(build.add(starts, within), [flat]);
  const zeros = build.zeros([rows * size], updates.dtype);
  return build.op("ScatterElements", [zeros, index, build.reshape(updates, [flat])], { axis: 0, reduction: "add" });
}
