/** Factored gradients as plain tensors that may be kept, and made into gradients again. */
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { Dense } from "./dense.js";
import { type Factored, sizeOfGradient } from "./factored.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";
import { Sum } from "./sum.js";

/** Factored, or multiplied out: whichever is fewer numbers. */
export function smallest(build: Build, gradient: Factored): Factored {
  return gradient.held <= sizeOfGradient(gradient) ? gradient : Dense.of(build, gradient);
}

/** The tensors that a gradient is made from, each with its samples first. */
export function factorsOf(gradient: Factored): Value[] {
  if (gradient instanceof Sum) return gradient.terms.flatMap(factorsOf);
  if (gradient instanceof Outer) return [gradient.rows, gradient.columns];
  if (gradient instanceof RowsGradient) return [gradient.places, gradient.cotangents];
  return [(gradient as Dense).value];
}

/** A gradient of the same form, made from other tensors: those of as many samples as they hold. */
export function withFactors(gradient: Factored, factors: readonly Value[]): Factored {
  if (gradient instanceof Sum) {
    let taken = 0;
    return new Sum(
      gradient.terms.map((term) => {
        const count = factorsOf(term).length;
        taken += count;
        return withFactors(term, factors.slice(taken - count, taken));
      }),
    );
  }
  const [first, second] = factors as [Value, Value];
  if (gradient instanceof Outer) return new Outer(first, second, gradient.viewed);
  if (gradient instanceof RowsGradient) return new RowsGradient(first, second, gradient.viewed);
  return new Dense(first, (gradient as Dense).viewed);
}
