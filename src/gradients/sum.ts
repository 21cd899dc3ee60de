import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { Along, ViewStep } from "../ops/definition.js";
import { nth } from "../present.js";
import { Dense } from "./dense.js";
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
  type Method,
  type NormMethod,
  notNegative,
  type SquaresMethod,
  type SumMethod,
  sizeOfGradient,
  termByTerm,
} from "./factored.js";
import { innerProducts } from "./inner.js";
import { firstOf, pair } from "./kinds.js";
import { Outer } from "./outer.js";
import { RowsGradient } from "./rows.js";

/**
 * The gradients of a parameter that is used several times (tied weights, a reused layer): the sum of those of its uses.
 * Its norm has cross terms.
 */
export class Sum implements Factored {
  readonly kind = "sum";
  readonly shape: Shape;
  readonly positions: number;

  constructor(readonly terms: readonly Factored[]) {
    this.shape = nth(terms, 0).shape;
    this.positions = terms.reduce((count, term) => count + term.positions, 0);
  }

  get factors(): readonly Value[] {
    return this.terms.flatMap((term) => term.factors);
  }

  withFactors(factors: readonly Value[]): Sum {
    let taken = 0;
    const terms = this.terms.map((term) => {
      const from = taken;
      taken += term.factors.length;
      return term.withFactors(factors.slice(from, taken));
    });
    return new Sum(terms);
  }

  get held(): number {
    return this.terms.reduce((total, term) => total + term.held, 0);
  }

  get materialisation(): Cost {
    const sums = { operations: 0, floats: sizeOfGradient(this) * (this.terms.length - 1) };
    return addCosts([...this.terms.map((term) => term.materialisation), sums]);
  }

  view(step: ViewStep): Sum {
    return new Sum(this.terms.map((term) => term.view(step)));
  }

  along(build: Build, step: Along): Factored {
    return sumOf(
      build,
      this.terms.map((term) => term.along(build, step) ?? Dense.of(build, term).along(build, step)),
    );
  }

  scaled(build: Build, factor: Value): Sum {
    return new Sum(this.terms.map((term) => term.scaled(build, factor)));
  }

  materialise(build: Build): Value {
    return this.terms.map((term) => term.materialise(build)).reduce((sum, term) => build.add(sum, term));
  }

  squaredNorms(): readonly NormMethod[] {
    return [denseNorm(this), this.#expanded()];
  }

  /** The squared norms of the terms plus twice their inner products. */
  #expanded(): NormMethod {
    const squares = this.terms.map((term) => cheapest(term.squaredNorms()));
    const crossed = this.terms.flatMap((term, k) =>
      this.terms.slice(0, k).map((other) => cheapest<Method>(innerProducts(other, term))),
    );
    const add = (build: Build, methods: readonly Method[]) =>
      methods.map((method) => method.emit(build)).reduce((sum, value) => build.add(sum, value));
    return {
      name: "cross terms",
      ...addCosts([...squares, ...crossed]),
      dense: false,
      emit: (build) => notNegative(build, build.add(add(build, squares), build.scale(add(build, crossed), 2))),
    };
  }

  /** Sums are linear: each term uses its own cheapest method, or all are materialised. */
  weightedSums(): readonly SumMethod[] {
    const each = termByTerm(this.terms.map((term) => cheapest(term.weightedSums())));
    return [each, denseSum(this)];
  }

  /** Inner products with a vector are linear too. */
  dots(): readonly DotMethod[] {
    const each = termByTerm(this.terms.map((term) => cheapest(term.dots())));
    return [each, denseDot(this)];
  }

  sumsOfSquares(): readonly SquaresMethod[] {
    return [denseSquares(this)];
  }
}

/** The sum of several gradients of one parameter, in as few terms as possible. */
export function sumOf(build: Build, parts: readonly Factored[]): Factored {
  const terms: Factored[] = [];
  for (const part of parts.flatMap((each) => each.terms)) {
    const merged = terms.map((term) => joined(term, part, build) ?? null);
    const at = merged.findIndex((one) => one !== null);
    if (at < 0) terms.push(part);
    else terms[at] = nth(merged, at);
  }
  return terms.length === 1 ? nth(terms, 0) : new Sum(terms);
}

/**
 * Joins two terms: outer products of one shape, or picked rows, become one term with more positions; dense gradients
 * are added.
 */
const joined = firstOf([
  pair(Dense, Dense, (a, b, build: Build): Factored | null => a.plus(build, b)),
  pair(Outer, Outer, (a, b, build: Build) =>
    a.kind === b.kind && a.viewed.equals(b.viewed) ? a.join(build, b) : null,
  ),
  pair(RowsGradient, RowsGradient, (a, b, build: Build) => (a.viewed.equals(b.viewed) ? a.join(build, b) : null)),
]);
