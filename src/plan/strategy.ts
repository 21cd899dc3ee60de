/** Strategies that a user asks for, whatever they cost: to compare them, and to test each of them. */
import { PergradError } from "../errors.js";
import type { Way } from "../gradients/factored.js";
import { selectByGlob } from "../graph/select-names.js";
import type { Choices } from "../ops/choices.js";

/** By the names of the ways, as `explain()` prints them: "materialise", "Gram", "contract", ... */
export interface WayNames {
  /** Of the norms. */
  readonly norm?: string;
  /** Of means, sums and clipped sums. */
  readonly sum?: string;
  readonly dot?: string;
  readonly squares?: string;
  readonly gram?: string;
}

export type Question = keyof WayNames;

export const questions: readonly Question[] = ["norm", "sum", "dot", "squares", "gram"];

export interface Strategy extends WayNames, Choices {
  /** For some parameters only, by name or glob; these go before what is said for all. */
  readonly parameters?: Readonly<Record<string, WayNames>>;
}

/** Where nothing else is asked for: the ways of parameters that have frugal ones, and how to build. */
export interface Preferred extends Pick<WayNames, "norm" | "sum">, Choices {}

/** The ways asked for, for each parameter. Where one has no way of that name, the cheapest is taken. */
export class Asked {
  readonly #byParameter: ReadonlyMap<string, WayNames>;

  constructor(
    private readonly strategy: Strategy,
    parameters: readonly string[],
    private readonly preferred: Preferred = {},
  ) {
    const own = new Map<string, WayNames>();
    for (const [glob, names] of Object.entries(strategy.parameters ?? {}))
      for (const name of selectByGlob(parameters, [glob])) own.set(name, { ...own.get(name), ...names });
    this.#byParameter = own;
  }

  /** Those of the ways that may be taken. */
  among<W extends Pick<Way, "name" | "frugal">>(
    parameter: string,
    question: Question,
    ways: readonly W[],
  ): readonly W[] {
    const asked = this.#byParameter.get(parameter)?.[question] ?? this.strategy[question];
    const name = asked ?? this.#preference(question, ways);
    const fitting = ways.filter((way) => way.name === name);
    return fitting.length === 0 ? ways : fitting;
  }

  #preference(question: Question, ways: readonly Pick<Way, "frugal">[]): string | undefined {
    if (question !== "norm" && question !== "sum") return undefined;
    return ways.some(({ frugal }) => frugal) ? this.preferred[question] : undefined;
  }

  /** Throws INVALID_ARGUMENT where a name was asked for that no parameter has a way of. */
  requireKnown(questions: ReadonlyMap<Question, readonly string[]>): void {
    const all = [this.strategy, ...Object.values(this.strategy.parameters ?? {})];
    for (const [question, known] of questions) {
      const name = all.map((names) => names[question]).find((each) => each !== undefined && !known.includes(each));
      if (name === undefined) continue;
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The strategy asks for ${question} by "${name}", but no parameter of this program has such a way; there are ${known.map((each) => `"${each}"`).join(", ")}.`,
      );
    }
  }
}
