import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { ViewStep } from "../ops/definition.js";
import { denseNorm, denseSum, type Factored, type NormWay, type SumWay } from "./factored.js";
import { View } from "./view.js";

/** Gradients that are simply there, `[N, ...shape]`: of biases, gains, and of whatever has no better form. */
export class Dense implements Factored {
  readonly kind = "dense";
  readonly positions = 1;
  readonly materialisation = { operations: 0, floats: 0 };
  readonly shape: Shape;

  constructor(
    readonly value: Value,
    readonly viewed: View = View.of(value.shape.slice(1)),
  ) {
    this.shape = viewed.shape;
  }

  view(step: ViewStep): Dense {
    return new Dense(this.value, this.viewed.andThen(step));
  }

  materialise(build: Build): Value {
    return this.viewed.apply(build, this.value);
  }

  squaredNorms(): readonly NormWay[] {
    return [denseNorm(new Dense(this.value))];
  }

  weightedSums(): readonly SumWay[] {
    const way = denseSum(new Dense(this.value));
    return [{ ...way, emit: (build, weights) => this.viewed.apply(build, way.emit(build, weights)) }];
  }
}
