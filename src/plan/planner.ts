/**
 * Chooses, for each parameter, the ways in which its wanted results are computed. The choice is made for
 * all of them at once: where one multiplies the gradients out, the others may use them for little more.
 */

import { defect } from "../errors.js";
import {
  cheapest,
  type DotWay,
  type Factored,
  type GramWay,
  type NormWay,
  type SquaresWay,
  type SumWay,
  sizeOfGradient,
} from "../gradients/factored.js";
import { gramWays } from "../gradients/pairs.js";
import { type Shape, showShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";

/** What the wants of a program ask of every parameter. */
export interface Demands {
  readonly gradients: boolean;
  readonly norms: boolean;
  /** The number of sums over the batch: mean, clipped sums. */
  readonly sums: number;
  /** The number of vectors that inner products are taken with. */
  readonly dots: number;
  /** Sums over the batch of squared deviations from its mean, element by element. */
  readonly squares: boolean;
  /** Inner products of all pairs. */
  readonly gram: boolean;
  /** The factored gradients themselves, for ways of a want's own. */
  readonly factors: boolean;
}

/** What several wants ask together. */
export function allDemands(demands: readonly Partial<Demands>[]): Demands {
  const any = (key: "gradients" | "norms" | "squares" | "gram" | "factors") => demands.some((each) => each[key]);
  const count = (key: "sums" | "dots") => demands.reduce((total, each) => total + (each[key] ?? 0), 0);
  return {
    gradients: any("gradients"),
    norms: any("norms"),
    squares: any("squares"),
    gram: any("gram"),
    factors: any("factors"),
    sums: count("sums"),
    dots: count("dots"),
  };
}

/** Whether gradients have to do with it at all. */
export function asksOfGradients({ sums, dots, ...others }: Demands): boolean {
  return sums > 0 || dots > 0 || Object.values(others).includes(true);
}

/** The ways chosen for one parameter (null where nothing of that sort is wanted). */
export interface Choice {
  readonly parameter: string;
  readonly gradient: Factored;
  readonly norm: NormWay | null;
  readonly sum: SumWay | null;
  readonly dot: DotWay | null;
  readonly squares: SquaresWay | null;
  readonly gram: GramWay | null;
  /** Multiply-adds and floats moved, per sample, of the chosen ways together. */
  readonly operations: number;
  readonly floats: number;
}

type Ways = Pick<Choice, "norm" | "sum" | "dot" | "squares" | "gram">;

/** The cheapest combination of ways for one parameter. */
export function choose(parameter: string, gradient: Factored, demands: Demands): Choice {
  const norms = demands.norms ? gradient.squaredNorms() : [null];
  const sums = demands.sums > 0 ? gradient.weightedSums() : [null];
  const dots = demands.dots > 0 ? gradient.dots() : [null];
  const squares = demands.squares ? gradient.sumsOfSquares() : [null];
  const grams = demands.gram ? gramWays(gradient) : [null];
  const combinations = norms.flatMap((norm) =>
    sums.flatMap((sum) =>
      dots.flatMap((dot) =>
        squares.flatMap((square) => grams.map((gram) => ({ norm, sum, dot, squares: square, gram }))),
      ),
    ),
  );
  return cheapest(combinations.map((ways) => combine(parameter, gradient, ways, demands)));
}

function combine(parameter: string, gradient: Factored, ways: Ways, demands: Demands): Choice {
  const { norm, sum, dot, squares, gram } = ways;
  const uses = [
    ...[norm, squares, gram].filter((way) => way !== null),
    ...(sum ? Array<SumWay>(demands.sums).fill(sum) : []),
    ...(dot ? Array<DotWay>(demands.dots).fill(dot) : []),
  ];
  const { operations, floats } = gradient.materialisation;
  // Multiplying out is paid for once, however many use it.
  const dense = uses.filter((way) => way.dense).length;
  const saved = Math.max(0, dense - 1);
  const extra = demands.gradients && dense === 0 ? 1 : 0;
  return {
    parameter,
    gradient,
    ...ways,
    operations: uses.reduce((total, way) => total + way.operations, 0) + (extra - saved) * operations,
    floats: uses.reduce((total, way) => total + way.floats, 0) + (extra - saved) * floats,
  };
}

/** What wants are built from: the chosen ways, emitted when asked for. */
export class Plan {
  readonly choices: ReadonlyMap<string, Choice>;

  constructor(gradients: ReadonlyMap<string, Factored>, demands: Demands) {
    this.choices = new Map([...gradients].map(([name, gradient]) => [name, choose(name, gradient, demands)]));
  }

  get parameters(): string[] {
    return [...this.choices.keys()];
  }

  #choice(parameter: string): Choice {
    const choice = this.choices.get(parameter);
    if (!choice) throw defect(`no gradient of "${parameter}" is planned`);
    return choice;
  }

  /** `[N, ...shape]` */
  gradient(parameter: string): Value {
    return this.#choice(parameter).gradient.materialise(build);
  }

  /** `[N]` */
  squaredNorm(parameter: string): Value {
    const { norm } = this.#choice(parameter);
    if (!norm) throw defect(`no norm of "${parameter}" is planned`);
    return norm.emit(build);
  }

  /** `[...shape]` */
  weightedSum(parameter: string, weights: Value | null): Value {
    const { sum } = this.#choice(parameter);
    if (!sum) throw defect(`no sum of "${parameter}" is planned`);
    return sum.emit(build, weights);
  }

  /** `[N]` */
  dot(parameter: string, vector: Value): Value {
    const { dot } = this.#choice(parameter);
    if (!dot) throw defect(`no inner product with "${parameter}" is planned`);
    return dot.emit(build, vector);
  }

  /** Of deviations from the mean of the batch, `[...shape]`. */
  sumOfSquares(parameter: string): Value {
    const { squares } = this.#choice(parameter);
    if (!squares) throw defect(`no sum of squares of "${parameter}" is planned`);
    return squares.emit(build);
  }

  /** `[N, N]` */
  gram(parameter: string): Value {
    const { gram } = this.#choice(parameter);
    if (!gram) throw defect(`no Gram matrix of "${parameter}" is planned`);
    return gram.emit(build);
  }

  /** Not multiplied out. */
  factored(parameter: string): Factored {
    return this.#choice(parameter).gradient;
  }

  /** The parameter's own shape. */
  shapeOf(parameter: string): Shape {
    return this.#choice(parameter).gradient.shape;
  }
}

/** One row of `explain()`: what was chosen for a parameter, and what it costs for each sample. */
export interface ExplainedParameter {
  readonly parameter: string;
  readonly shape: string;
  readonly elements: number;
  readonly kind: string;
  readonly positions: number;
  readonly norm: string | null;
  readonly sum: string | null;
  readonly dot: string | null;
  readonly squares: string | null;
  readonly gram: string | null;
  /** The gradients are multiplied out to `[N, ...shape]` on the way. */
  readonly dense: boolean;
  readonly operations: number;
  readonly floats: number;
}

export function explainPlan(plan: Plan): ExplainedParameter[] {
  return [...plan.choices.values()].map(({ parameter, gradient, operations, floats, ...ways }) => ({
    parameter,
    shape: showShape(gradient.shape),
    elements: sizeOfGradient(gradient),
    kind: gradient.kind,
    positions: gradient.positions,
    norm: ways.norm?.name ?? null,
    sum: ways.sum?.name ?? null,
    dot: ways.dot?.name ?? null,
    squares: ways.squares?.name ?? null,
    gram: ways.gram?.name ?? null,
    dense: Object.values(ways).some((way) => way?.dense && gradient.kind !== "dense"),
    operations,
    floats,
  }));
}
