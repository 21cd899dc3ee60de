import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { ViewStep } from "../ops/definition.js";
import { build } from "../ops/registry.js";
import { Dense } from "./dense.js";
import { denseNorm, denseSum, type Factored, sizeOfGradient, type Way } from "./factored.js";
import { Outer } from "./outer.js";

/**
 * The gradients of a parameter that is used several times (tied weights, a reused layer): the sum of those
 * of its uses. Its norm has cross terms, which is why it is not put together from the norms of the terms.
 */
export class Sum implements Factored {
  readonly kind = "sum";
  readonly shape: Shape;
  readonly positions: number;

  constructor(readonly terms: readonly Factored[]) {
    this.shape = (terms[0] as Factored).shape;
    this.positions = terms.reduce((count, term) => count + term.positions, 0);
  }

  get materialisation(): Pick<Way, "operations" | "floats"> {
    const size = sizeOfGradient(this);
    const costs = this.terms.map((term) => term.materialisation);
    return {
      operations: costs.reduce((total, cost) => total + cost.operations, 0),
      floats: costs.reduce((total, cost) => total + cost.floats + size, 0),
    };
  }

  view(step: ViewStep): Sum {
    return new Sum(this.terms.map((term) => term.view(step)));
  }

  materialise(on: Build): Value {
    return this.terms.map((term) => term.materialise(on)).reduce((sum, term) => on.add(sum, term));
  }

  squaredNorms(): readonly Way[] {
    return [denseNorm(this)];
  }

  /** Sums are linear: each term by its own first way; or all multiplied out. */
  weightedSums(weights: Value | null): readonly Way[] {
    const parts = this.terms.map((term) => term.weightedSums(weights)[0] as Way);
    const total = (key: "operations" | "floats") => parts.reduce((sum, part) => sum + part[key], 0);
    const each: Way = {
      name: "term by term",
      operations: total("operations"),
      floats: total("floats"),
      dense: parts.some((part) => part.dense),
      emit: (on) => parts.map((part) => part.emit(on)).reduce((sum, part) => on.add(sum, part)),
    };
    return [each, denseSum(this, weights)];
  }
}

/** The sum of several gradients of one parameter, in as few terms as it can be held. */
export function sumOf(parts: readonly Factored[]): Factored {
  const terms: Factored[] = [];
  for (const part of parts.flatMap((each) => (each instanceof Sum ? each.terms : [each]))) {
    const at = terms.findIndex((term) => joined(term, part) !== undefined);
    const merged = joined(terms[at], part);
    if (merged) terms[at] = merged;
    else terms.push(part);
  }
  return terms.length === 1 ? (terms[0] as Factored) : new Sum(terms);
}

/** Outer products of one shape are one with more positions; dense gradients add up. */
function joined(a: Factored | undefined, b: Factored): Factored | undefined {
  if (a instanceof Dense && b instanceof Dense) return new Dense(build.add(a.materialise(build), b.materialise(build)));
  if (!(a instanceof Outer && b instanceof Outer) || !a.viewed.equals(b.viewed)) return undefined;
  const axis = a.rows.shape.length - 2;
  return new Outer(build.concat([a.rows, b.rows], axis), build.concat([a.columns, b.columns], axis), a.viewed);
}
