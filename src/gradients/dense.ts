import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { nth } from "../present.js";
import {
  addCosts,
  type Cost,
  cheapest,
  type DotMethod,
  denseDot,
  denseNorm,
  denseSquares,
  denseSum,
  type Factored,
  type NormMethod,
  type SquaresMethod,
  type SumMethod,
  sizeOfGradient,
  termByTerm,
} from "./factored.js";
import { Outer } from "./outer.js";
import { View } from "./view.js";

/** The factored gradients that a dense gradient was computed from. */
export interface Origin {
  /** The cost of computing it. */
  readonly cost: Cost;
  /** The weighted sum, computed from theirs: the steps after them are linear and the same for all samples. */
  readonly sum: SumMethod;
}

/** Materialised gradients, `[N, ...shape]`: for biases, gains, and parameters that have no better form. */
export class Dense implements Factored {
  readonly kind = "dense";
  readonly positions = 1;
  readonly shape: Shape;

  constructor(
    readonly value: Value,
    readonly viewed: View = View.of(value.shape.slice(1)),
    readonly origin: Origin | null = null,
  ) {
    this.shape = viewed.shape;
  }

  /** Materialises any gradients. */
  static of(build: Build, gradient: Factored): Dense {
    if (gradient instanceof Dense) return gradient;
    const origin = { cost: gradient.materialisation, sum: cheapest(gradient.weightedSums()) };
    return new Dense(gradient.materialise(build), View.of(gradient.shape), origin);
  }

  get materialisation(): Cost {
    return this.origin?.cost ?? { operations: 0, floats: 0 };
  }

  get terms(): readonly [this] {
    return [this];
  }

  get factors(): readonly [Value] {
    return [this.value];
  }

  withFactors([value]: readonly [Value]): Dense {
    return new Dense(value, this.viewed);
  }

  get held(): number {
    return sizeOfGradient(this);
  }

  view(step: ViewStep): Dense {
    const viewed = this.viewed.andThen(step);
    return new Dense(
      this.value,
      viewed,
      this.#after((build, sum) => View.of(this.shape).andThen(step).apply(build, sum)),
    );
  }

  /** An axis of size 1 that grows makes an outer product; any other map is applied directly. */
  along(build: Build, step: Along): Factored {
    const value = this.materialise(build);
    if (this.shape[step.axis] === 1 && step.size > 1 && sizeOfGradient(this) > 1)
      return this.#grown(build, value, step);
    const origin = this.#after((inner, sum) => step.apply(inner, sum, step.axis), this.held);
    return new Dense(step.apply(build, value, step.axis + 1), undefined, origin);
  }

  #grown(build: Build, value: Value, step: Along): Outer {
    const samples = nth(value.shape, 0);
    const size = sizeOfGradient(this);
    const one = build.filled(1, [1, 1, 1], value.dtype);
    const column = build.expand(step.apply(build, one, 2), [samples, 1, step.size]);
    const others = this.shape.filter((_, axis) => axis !== step.axis);
    const last = others.length;
    const order = this.shape.map((_, axis) => (axis === step.axis ? last : axis < step.axis ? axis : axis - 1));
    const view = View.of([size, step.size])
      .andThen({ kind: "reshape", shape: [...others, step.size] })
      .andThen({ kind: "transpose", permutation: order });
    return new Outer(build.reshape(value, [samples, 1, size]), column, view);
  }

  scaled(build: Build, factor: Value): Dense {
    const origin = this.#after((inner, sum) => inner.mul(sum, factor), this.held);
    return new Dense(build.mul(this.value, factor), this.viewed, origin);
  }

  /** The sum of two gradients. */
  plus(build: Build, other: Dense): Dense {
    const value = build.add(this.materialise(build), other.materialise(build));
    if (!this.origin && !other.origin) return new Dense(value);
    const origin: Origin = {
      cost: addCosts([this.materialisation, other.materialisation, { operations: 0, floats: this.held }]),
      sum: termByTerm([this, other].map((each) => cheapest(each.weightedSums()))),
    };
    return new Dense(value, undefined, origin);
  }

  /** The origin of these gradients after a linear map, which moves `floats` more. */
  #after(map: (build: Build, sum: Value) => Value, floats = 0): Origin | null {
    if (!this.origin) return null;
    const { cost, sum } = this.origin;
    return {
      cost: addCosts([cost, { operations: 0, floats }]),
      sum: { ...sum, emit: (build, weights) => map(build, sum.emit(build, weights)) },
    };
  }

  materialise(build: Build): Value {
    return this.viewed.apply(build, this.value);
  }

  squaredNorms(): readonly NormMethod[] {
    return [denseNorm(new Dense(this.value, undefined, this.origin))];
  }

  weightedSums(): readonly SumMethod[] {
    const method = denseSum(new Dense(this.value, undefined, this.origin));
    const dense: SumMethod = {
      ...method,
      emit: (build, weights) => this.viewed.apply(build, method.emit(build, weights)),
    };
    return this.origin ? [dense, this.origin.sum] : [dense];
  }

  dots(): readonly DotMethod[] {
    return [denseDot(this)];
  }

  sumsOfSquares(): readonly SquaresMethod[] {
    return [denseSquares(this)];
  }
}
