import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { ViewStep } from "../ops/definition.js";
import { Dense } from "./dense.js";
import { denseNorm, denseSum, type Factored, type NormWay, type SumWay, sizeOfGradient, type Way } from "./factored.js";
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

  materialise(build: Build): Value {
    return this.terms.map((term) => term.materialise(build)).reduce((sum, term) => build.add(sum, term));
  }

  squaredNorms(): readonly NormWay[] {
    return [denseNorm(this)];
  }

  /** Sums are linear: each term by its own first way; or all multiplied out. */
  weightedSums(): readonly SumWay[] {
    const parts = this.terms.map((term) => term.weightedSums()[0] as SumWay);
    const total = (key: "operations" | "floats") => parts.reduce((sum, part) => sum + part[key], 0);
    const each: SumWay = {
      name: "term by term",
      operations: total("operations"),
      floats: total("floats"),
      dense: false,
      emit: (build, weights) =>
        parts.map((part) => part.emit(build, weights)).reduce((sum, part) => build.add(sum, part)),
    };
    return [each, denseSum(this)];
  }
}

/** The sum of several gradients of one parameter, in as few terms as it can be held. */
export function sumOf(build: Build, parts: readonly Factored[]): Factored {
  const terms: Factored[] = [];
  for (const part of parts.flatMap((each) => (each instanceof Sum ? each.terms : [each]))) {
    const at = terms.findIndex((term) => canJoin(term, part));
    if (at < 0) terms.push(part);
    else terms[at] = join(build, terms[at] as Factored, part);
  }
  return terms.length === 1 ? (terms[0] as Factored) : new Sum(terms);
}

/** Outer products of one shape are one with more positions; dense gradients add up. */
function canJoin(a: Factored, b: Factored): boolean {
  if (a instanceof Dense && b instanceof Dense) return true;
  return a instanceof Outer && b instanceof Outer && a.kind === b.kind && a.viewed.equals(b.viewed);
}

function join(build: Build, a: Factored, b: Factored): Factored {
  if (a instanceof Outer && b instanceof Outer) return a.join(build, b);
  return new Dense(build.add(a.materialise(build), b.materialise(build)));
}
