/**
 * Chooses, for each parameter, the ways in which its wanted results are computed. The choice is made for
 * all of them at once: where one multiplies the gradients out, the others may use them for little more.
 */

import { defect } from "../errors.js";
import { cancelling, onlyDense } from "../gradients/cancellation.js";
import { addCosts, type Cost, cheapest, timesCost, usualBatch } from "../gradients/cost.js";
import type { DotWay, Factored, SumWay, Way } from "../gradients/factored.js";
import { gramWays } from "../gradients/pairs.js";
import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { usualPrices } from "../ops/prices.js";
import { build } from "../ops/registry.js";
import type { Choice, Demands, PlanOptions, Priced, Ways } from "./choice.js";
import { type Alternatives, type Conditions, spared } from "./memory-tradeoff.js";
import { Asked, type Question, questions } from "./strategy.js";

/** All combinations of ways for one parameter. */
function combinations(
  parameter: string,
  gradient: Factored,
  demands: Demands,
  asked: Asked,
  samples: number,
): readonly Priced[] {
  const among = <W extends Way<never>>(question: Question, wanted: boolean, ways: () => readonly W[]) =>
    wanted ? asked.among(parameter, question, ways()) : [null];
  const strictly = <W extends Way<never>>(ways: readonly W[]) =>
    demands.strict && onlyDense(gradient) ? ways.filter((way) => way.dense) : ways;
  const norms = among("norm", demands.norms, () => strictly(gradient.squaredNorms()));
  const sums = among("sum", demands.sums > 0, () => strictly(gradient.weightedSums()));
  const dots = among("dot", demands.dots > 0, () => gradient.dots());
  const squares = among("squares", demands.squares, () => gradient.sumsOfSquares());
  const grams = among("gram", demands.gram, () => gramWays(gradient, samples));
  const all: Ways[] = norms.flatMap((norm) =>
    sums.flatMap((sum) =>
      dots.flatMap((dot) =>
        squares.flatMap((square) => grams.map((gram) => ({ norm, sum, dot, squares: square, gram }))),
      ),
    ),
  );
  return all.map((ways) => ({ ...ways, ...costOf(gradient, ways, demands) }));
}

/** Multiplying out is paid for once, however many use it. */
function costOf(gradient: Factored, ways: Ways, demands: Demands): Required<Cost> {
  const { norm, sum, dot, squares, gram } = ways;
  const uses = [
    ...[norm, squares, gram].filter((way) => way !== null),
    ...(sum ? Array<SumWay>(demands.sums).fill(sum) : []),
    ...(dot ? Array<DotWay>(demands.dots).fill(dot) : []),
  ];
  const dense = uses.filter((way) => way.dense).length;
  const saved = Math.max(0, dense - 1);
  const extra = demands.gradients && dense === 0 ? 1 : 0;
  return addCosts([...uses, timesCost(gradient.materialisation, extra - saved)]);
}

/** The cheapest combination of ways for one parameter, in a batch of so many samples. */
export function choose(
  parameter: string,
  gradient: Factored,
  demands: Demands,
  { samples = usualBatch, strategy = {}, prices = usualPrices }: PlanOptions = {},
): Choice {
  return alternatives(parameter, gradient, demands, new Asked(strategy, [parameter]), { samples, prices }).fastest;
}

/** The cheapest combination, and the cheapest of those that multiply nothing out: not where gradients themselves are wanted. */
function alternatives(
  parameter: string,
  gradient: Factored,
  demands: Demands,
  asked: Asked,
  { samples, prices }: Conditions,
): Alternatives {
  const all = (n: number) => combinations(parameter, gradient, demands, asked, n);
  const few = (found: readonly Priced[]) => found.filter((ways) => questions.every((each) => !ways[each]?.dense));
  const usual = all(samples);
  const choice = (among: (found: readonly Priced[]) => readonly Priced[]): Choice => {
    const found = among(usual);
    const best = cheapest(found, samples, prices);
    // Only products of pairs cost more for each sample the more there are.
    const at = (n: number) => (demands.gram ? among(all(n)) : found);
    return {
      ...best,
      parameter,
      gradient,
      // Only explain() asks.
      get holds() {
        return rangeOf((n) => sameWays(cheapest(at(n), n, prices), best), samples);
      },
    };
  };
  return {
    fastest: choice((found) => found),
    sparing: demands.gradients || few(usual).length === 0 ? null : choice(few),
  };
}

function sameWays(a: Ways, b: Ways): boolean {
  return questions.every((question) => a[question]?.name === b[question]?.name);
}

/** Batches larger than this are not planned for. */
const largestBatch = 2 ** 20;

/** The range of batch sizes around `samples` for which `still` holds, at both its ends. */
function rangeOf(still: (n: number) => boolean, samples: number): [number, number] {
  return [furthest(still, samples, 1), furthest(still, samples, Math.max(samples, largestBatch))];
}

/** The last whole number from `from` towards `end` for which `holds`, which fails from some point on. */
function furthest(holds: (n: number) => boolean, from: number, end: number): number {
  if (holds(end)) return end;
  let [good, bad] = [from, end];
  while (Math.abs(bad - good) > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (holds(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

/** What wants are built from: the chosen ways, emitted when asked for. */
export class Plan {
  readonly choices: ReadonlyMap<string, Choice>;

  constructor(
    gradients: ReadonlyMap<string, Factored>,
    readonly demands: Demands,
    readonly options: PlanOptions = {},
  ) {
    const { samples = usualBatch, strategy = {}, preferred = {}, prices = usualPrices } = options;
    const conditions = { samples, prices };
    const asked = new Asked(strategy, [...gradients.keys()], preferred);
    asked.requireKnown(namesOf(gradients.values(), demands));
    const all = [...gradients].map(([name, gradient]) => alternatives(name, gradient, demands, asked, conditions));
    this.choices = new Map(spared(all, conditions).map((choice) => [choice.parameter, choice]));
  }

  /** Planned for a budget that one sample does not fit into otherwise: as little as possible is held at a time. */
  get holdsLittle(): boolean {
    return this.options.preferred?.materialise === "frugal";
  }

  get parameters(): string[] {
    return [...this.choices.keys()];
  }

  #choice(parameter: string): Choice {
    const choice = this.choices.get(parameter);
    if (!choice) throw defect(`no gradient of "${parameter}" is planned`);
    return choice;
  }

  #way<Q extends Question>(parameter: string, question: Q): NonNullable<Ways[Q]> {
    const way = this.#choice(parameter)[question];
    if (!way) throw defect(`no answer to "${question}" of "${parameter}" is planned`);
    return way;
  }

  /** `[N, ...shape]` */
  gradient(parameter: string): Value {
    return this.#choice(parameter).gradient.materialise(build);
  }

  /** `[N]` */
  squaredNorm(parameter: string): Value {
    return this.#way(parameter, "norm").emit(build);
  }

  /** The sum over samples of weights[n], `[N]` or `[]`, times gradient n; null for ones. `[...shape]` */
  weightedSum(parameter: string, weights: Value | null): Value {
    return this.#way(parameter, "sum").emit(build, weights);
  }

  /** The sum times a number `[]`: of the sum without weights, where there is a product of factors and that is wanted too. */
  scaledSum(parameter: string, factor: Value): Value {
    const { gradient } = this.#choice(parameter);
    if (!this.demands.plainSum || !gradient.oneProduct) return this.weightedSum(parameter, factor);
    return build.mul(this.weightedSum(parameter, null), factor);
  }

  /**
   * What is to be added to the squared norm, times a little more than the rounding error of a float, so that no
   * weighted sum's part is longer than that norm, `[N]`. Null for nothing: where norm and sum are of the same values.
   */
  cancelling(parameter: string): Value | null {
    const { gradient, norm, sum } = this.#choice(parameter);
    return norm?.dense && sum?.dense ? null : cancelling(build, gradient);
  }

  /** `[N]` */
  dot(parameter: string, vector: Value): Value {
    return this.#way(parameter, "dot").emit(build, vector);
  }

  /** Of deviations from the mean of the batch, `[...shape]`. */
  sumOfSquares(parameter: string): Value {
    return this.#way(parameter, "squares").emit(build);
  }

  /** `[N, N]` */
  gram(parameter: string): Value {
    return this.#way(parameter, "gram").emit(build);
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

/** The names of all ways there are to what is wanted. */
function namesOf(gradients: Iterable<Factored>, demands: Demands): Map<Question, readonly string[]> {
  const all = [...gradients].flatMap((gradient) =>
    combinations("", gradient, { ...demands, strict: false }, new Asked({}, []), usualBatch),
  );
  const names = (question: Question) => [...new Set(all.flatMap((ways) => ways[question]?.name ?? []))];
  return new Map(
    questions.map((question) => [question, names(question)] as const).filter(([, known]) => known.length > 0),
  );
}
