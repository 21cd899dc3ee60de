/** Strategies that a user asks for, whatever they cost: to compare them, and to test each one. */
import { checkOptions, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import type { Method } from "../gradients/factored.js";
import { selectByGlob } from "../graph/select-names.js";
import type { BuildStrategy } from "../ops/build-strategy.js";
import { eachQuestion, type MethodNames, type Question, questionNames } from "./questions.js";

/** Methods by the names that `explain()` prints, by question (`norm`; `sum`: of means, sums and clipped sums; ...). */
export interface Strategy extends MethodNames, BuildStrategy {
  /** For some parameters only, by name or glob; these take precedence over methods for all parameters. */
  readonly parameters?: Readonly<Record<string, MethodNames>>;
}

const strategyOptions: OptionNames<Strategy> = {
  ...eachQuestion(() => true as const),
  parameters: true,
  prices: true,
  unfold: true,
  unfoldBlock: true,
  materialise: true,
  convolutionData: true,
  directions: true,
  masks: true,
  holdLess: true,
  maxPool: true,
};

/** A strategy that applies to parameters that have low-memory methods, unless the user's strategy says otherwise. */
export interface LowMemoryStrategy extends MethodNames, BuildStrategy {}

/**
 * A strategy, resolved for each parameter. If a parameter has no method of the requested name, it gets the cheapest.
 */
export class ParameterStrategies {
  readonly #byParameter: ReadonlyMap<string, MethodNames>;

  constructor(
    private readonly strategy: Strategy,
    parameters: readonly string[],
    private readonly lowMemory: LowMemoryStrategy = {},
  ) {
    checkOptions("strategy", strategy, strategyOptions);
    const own = new Map<string, MethodNames>();
    for (const [glob, names] of Object.entries(strategy.parameters ?? {}))
      for (const name of selectByGlob(parameters, [glob])) own.set(name, { ...own.get(name), ...names });
    this.#byParameter = own;
  }

  /** The methods among these that may be used. */
  among<M extends Pick<Method, "name" | "lowMemory">>(
    parameter: string,
    question: Question,
    methods: readonly M[],
  ): readonly M[] {
    const requested = this.#byParameter.get(parameter)?.[question] ?? this.strategy[question];
    const other = methods.some(({ lowMemory }) => lowMemory) ? this.lowMemory[question] : undefined;
    const name = requested ?? other;
    const fitting = methods.filter((method) => method.name === name);
    return fitting.length === 0 ? methods : fitting;
  }

  /** Throws INVALID_ARGUMENT if no parameter has a method of a requested name. */
  requireKnown(all: ReadonlyMap<Question, readonly string[]>): void {
    const strategies = [this.strategy, ...Object.values(this.strategy.parameters ?? {})];
    for (const question of questionNames) {
      const known = all.get(question) ?? [];
      const requested = strategies.flatMap((names) => names[question] ?? []);
      const name = known.length === 0 ? undefined : requested.find((each) => !known.includes(each));
      if (name === undefined) continue;
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The strategy asks for ${question} by "${name}", but no parameter of this program has such a method; there are ${known.map((each) => `"${each}"`).join(", ")}.`,
      );
    }
  }
}
