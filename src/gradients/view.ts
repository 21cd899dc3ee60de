import { type Shape, sameShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { ViewStep } from "../ops/definition.js";

/**
 * How a factored gradient's natural shape becomes the parameter's: reshapes and transpositions, none of
 * which changes a norm or an inner product. Steps that cancel are left out, so that equal views are equal.
 */
export class View {
  private constructor(
    readonly raw: Shape,
    readonly steps: readonly ViewStep[],
    readonly shape: Shape,
  ) {}

  static of(raw: Shape): View {
    return new View(raw, [], raw);
  }

  /** This view, then `step`. */
  andThen(step: ViewStep): View {
    const last = this.steps[this.steps.length - 1];
    const before = this.steps.slice(0, -1);
    if (step.kind === "reshape") {
      if (last?.kind === "reshape") return View.replay(this.raw, [...before, step]);
      return sameShape(step.shape, this.shape) ? this : new View(this.raw, [...this.steps, step], step.shape);
    }
    const { permutation } = step;
    if (permutation.every((from, to) => from === to)) return this;
    if (last?.kind === "transpose") {
      const composed = permutation.map((axis) => last.permutation[axis] as number);
      return View.replay(this.raw, [...before, { kind: "transpose", permutation: composed }]);
    }
    return new View(
      this.raw,
      [...this.steps, step],
      permutation.map((axis) => this.shape[axis] as number),
    );
  }

  private static replay(raw: Shape, steps: readonly ViewStep[]): View {
    return steps.reduce((view, step) => view.andThen(step), View.of(raw));
  }

  /** The same view of the raw shape transposed beforehand by `permutation`. */
  after(permutation: readonly number[]): View {
    const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
    const raw = permutation.map((axis) => this.raw[axis] as number);
    return View.replay(raw, [{ kind: "transpose", permutation: inverse }, ...this.steps]);
  }

  equals(other: View): boolean {
    return JSON.stringify([this.raw, this.steps]) === JSON.stringify([other.raw, other.steps]);
  }

  /** `[...leading, ...raw]` to `[...leading, ...shape]`. */
  apply(build: Build, value: Value): Value {
    const leading = value.shape.slice(0, value.shape.length - this.raw.length);
    return this.steps.reduce(
      (result, step) =>
        step.kind === "reshape"
          ? build.reshape(result, [...leading, ...step.shape])
          : build.transpose(result, [...leading.keys(), ...step.permutation.map((axis) => axis + leading.length)]),
      value,
    );
  }
}
