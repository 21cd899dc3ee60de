/**
 * Chooses, for each parameter, the methods that compute its results. It chooses for all questions at once: if one
 * method materialises the gradients, others can use them at little extra cost.
 */

import { defect } from "../errors.js";
import { hidden, mustMultiplyOut } from "../gradients/cancellation.js";
import { addCosts, type Cost, cheapest, timesCost, usualBatch } from "../gradients/cost.js";
import type { Factored, Method } from "../gradients/factored.js";
import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { usualPrices } from "../ops/prices.js";
import { build } from "../ops/registry.js";
import type { Choice, Combination, PlanOptions } from "./choice.js";
import { type Alternatives, type Conditions, withinMemory } from "./memory-tradeoff.js";
import { eachQuestion, type Methods, type Question, questionNames, questions, type Requirements } from "./questions.js";
import { ParameterStrategies } from "./strategy.js";

/** All combinations of methods for one parameter. */
function combinations(
  parameter: string,
  gradient: Factored,
  required: Requirements,
  strategies: ParameterStrategies,
  samples: number,
): readonly Combination[] {
  const strict = required.strict && mustMultiplyOut(gradient);
  const among = (name: Question): readonly (Method<never> | null)[] => {
    if (required[name] === 0) return [null];
    const { methods, compared = false } = questions[name];
    const all: readonly Method<never>[] = methods(gradient, samples);
    return strategies.among(parameter, name, strict && compared ? all.filter(({ dense }) => dense) : all);
  };
  const all = questionNames.reduce<readonly Methods[]>(
    (found, name) => found.flatMap((methods) => among(name).map((method) => ({ ...methods, [name]: method }))),
    [eachQuestion(() => null)],
  );
  return all.map((methods) => ({ ...methods, ...costOf(gradient, methods, required) }));
}

/** Materialising is paid for once, however many methods use the result. */
function costOf(gradient: Factored, methods: Methods, required: Requirements): Required<Cost> {
  const uses = questionNames.flatMap((name) => {
    const method = methods[name];
    return method ? [{ method, times: questions[name].paid(required[name]) }] : [];
  });
  const dense = uses.reduce((count, { method, times }) => count + (method.dense ? times : 0), 0);
  const saved = Math.max(0, dense - 1);
  const extra = required.gradients && dense === 0 ? 1 : 0;
  return addCosts([
    ...uses.map(({ method, times }) => timesCost(method, times)),
    timesCost(gradient.materialisation, extra - saved),
  ]);
}

/** The cheapest combination of methods for one parameter, in a batch of `samples`. */
export function choose(
  parameter: string,
  gradient: Factored,
  required: Requirements,
  { samples = usualBatch, strategy = {}, prices = usualPrices }: PlanOptions = {},
): Choice {
  const strategies = new ParameterStrategies(strategy, [parameter]);
  return alternatives(parameter, gradient, required, strategies, { samples, prices }).fastest;
}

/**
 * The cheapest combination, and the cheapest that materialises nothing (none if the gradients themselves are wanted).
 */
function alternatives(
  parameter: string,
  gradient: Factored,
  required: Requirements,
  strategies: ParameterStrategies,
  { samples, prices }: Conditions,
): Alternatives {
  const all = (n: number) => combinations(parameter, gradient, required, strategies, n);
  const factored = (found: readonly Combination[]) =>
    found.filter((methods) => questionNames.every((name) => !methods[name]?.dense));
  const usual = all(samples);
  const byPairs = questionNames.some((name) => questions[name].byPairs && required[name] > 0);
  const choice = (among: (found: readonly Combination[]) => readonly Combination[]): Choice => {
    const found = among(usual);
    const methods = cheapest(found, samples, prices);
    const at = (n: number) => (byPairs ? among(all(n)) : found);
    return {
      parameter,
      gradient,
      methods,
      // Computed on demand: only explain() asks.
      get holds() {
        return rangeOf((n) => sameMethods(cheapest(at(n), n, prices), methods), samples);
      },
    };
  };
  return {
    fastest: choice((found) => found),
    lowMemory: required.gradients || factored(usual).length === 0 ? null : choice(factored),
  };
}

function sameMethods(a: Methods, b: Methods): boolean {
  return questionNames.every((name) => a[name]?.name === b[name]?.name);
}

/** Batches larger than this are not planned for. */
const largestBatch = 2 ** 20;

/** The range of batch sizes around `samples` in which `still` holds at both ends. */
function rangeOf(still: (n: number) => boolean, samples: number): [number, number] {
  return [furthest(still, samples, 1), furthest(still, samples, Math.max(samples, largestBatch))];
}

/** The last whole number from `from` towards `end` for which `holds`, assuming that it fails from some point on. */
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

/** What wants are built from: the chosen methods, emitted when asked for. */
export class Plan {
  readonly choices: ReadonlyMap<string, Choice>;

  constructor(
    gradients: ReadonlyMap<string, Factored>,
    readonly requirements: Requirements,
    readonly options: PlanOptions = {},
  ) {
    const { samples = usualBatch, strategy = {}, lowMemory = {}, prices = usualPrices } = options;
    const conditions = { samples, prices };
    const strategies = new ParameterStrategies(strategy, [...gradients.keys()], lowMemory);
    strategies.requireKnown(namesOf(gradients.values(), requirements));
    const all = [...gradients].map(([name, gradient]) =>
      alternatives(name, gradient, requirements, strategies, conditions),
    );
    this.choices = new Map(withinMemory(all, conditions).map((choice) => [choice.parameter, choice]));
  }

  /** The same for other gradients and requirements, for the same batch size, prices and memory. */
  alike(gradients: ReadonlyMap<string, Factored>, requirements: Requirements): Plan {
    const { strategy: _, ...options } = this.options;
    return new Plan(gradients, requirements, options);
  }

  /** Whether it is planned for a budget into which one sample fits only if as little as possible is held at a time. */
  get holdsLittle(): boolean {
    return this.options.lowMemory?.materialise === "lowMemory";
  }

  get parameters(): string[] {
    return [...this.choices.keys()];
  }

  #choice(parameter: string): Choice {
    const choice = this.choices.get(parameter);
    if (!choice) throw defect(`no gradient of "${parameter}" is planned`);
    return choice;
  }

  #method<Q extends Question>(parameter: string, question: Q): NonNullable<Methods[Q]> {
    const method = this.#choice(parameter).methods[question];
    if (!method) throw defect(`no answer to "${question}" of "${parameter}" is planned`);
    return method;
  }

  /** `[N, ...shape]` */
  gradient(parameter: string): Value {
    return this.#choice(parameter).gradient.materialise(build);
  }

  /** `[N]` */
  squaredNorm(parameter: string): Value {
    return this.#method(parameter, "norm").emit(build);
  }

  /** The sum over samples of weights[n] times gradient n; weights are `[N]` or `[]`, null for ones. `[...shape]` */
  weightedSum(parameter: string, weights: Value | null): Value {
    return this.#method(parameter, "sum").emit(build, weights);
  }

  /**
   * The sum times a number `[]`. If the gradient is one product of factors and the sum without weights is wanted too,
   * that sum is scaled, so that both share one product.
   */
  scaledSum(parameter: string, factor: Value): Value {
    const { gradient } = this.#choice(parameter);
    if (!this.requirements.plainSum || !gradient.oneProduct) return this.weightedSum(parameter, factor);
    return build.mul(this.weightedSum(parameter, null), factor);
  }

  /**
   * The number to add to the squared norm, `[N]`, so that no sample's part of a weighted sum is longer than that norm.
   * Null for 0, if norm and sum are computed from the same values.
   */
  hidden(parameter: string): Value | null {
    const { gradient, methods } = this.#choice(parameter);
    return methods.norm?.dense && methods.sum?.dense ? null : hidden(build, gradient);
  }

  /** `[N]` */
  dot(parameter: string, vector: Value): Value {
    return this.#method(parameter, "dot").emit(build, vector);
  }

  /** Of deviations from the batch mean, `[...shape]`. */
  sumOfSquares(parameter: string): Value {
    return this.#method(parameter, "squares").emit(build);
  }

  /** `[N, N]` */
  gram(parameter: string): Value {
    return this.#method(parameter, "gram").emit(build);
  }

  /** The factored gradient, not materialised. */
  factored(parameter: string): Factored {
    return this.#choice(parameter).gradient;
  }

  /** The parameter's own shape. */
  shapeOf(parameter: string): Shape {
    return this.#choice(parameter).gradient.shape;
  }
}

/** The names of all available methods for what is required. */
function namesOf(gradients: Iterable<Factored>, required: Requirements): Map<Question, readonly string[]> {
  const all = [...gradients];
  const names = (name: Question) =>
    all.flatMap((gradient) => questions[name].methods(gradient, usualBatch).map((method) => method.name));
  const requested = questionNames.filter((name) => required[name] > 0);
  return new Map(requested.map((name) => [name, [...new Set(names(name))]]));
}
