/**
 * The questions that wants ask about each parameter's gradients, in one record. A new question is an entry here, and a
 * method in each kind that answers it. Requirements, strategies, choices and the output of `explain()` are made from
 * this record.
 */
import type { Factored } from "../gradients/factored.js";
import { gramMethods } from "../gradients/pairs.js";

interface QuestionOptions<M> {
  /** The heading of its column in what `explain()` prints. */
  readonly heading: string;
  /** How many answers are computed if wants require `required` of them. */
  readonly paid: (required: number) => number;
  /**
   * Strict clipping compares its answers with other questions': if nothing bounds their difference, all must come from
   * the same values.
   */
  readonly compared?: boolean;
  /** The cost of its methods per sample grows with the number of samples. */
  readonly byPairs?: boolean;
  /**
   * The methods that a kind offers; at least one.
   * @param samples the number of samples to plan for
   */
  methods(gradient: Factored, samples: number): readonly M[];
}

function question<M>(options: QuestionOptions<M>): QuestionOptions<M> {
  return options;
}

/** All wants that require it share one answer. */
const once = (required: number) => Math.min(required, 1);
/** Each answer has weights or vectors of its own. */
const each = (required: number) => required;

export const questions = {
  /** The squared norms, `[N]`. */
  norm: question({
    heading: "norm by",
    paid: once,
    compared: true,
    methods: (gradient) => gradient.squaredNorms(),
  }),
  /** Sums over the batch: means, sums, clipped sums, `[...shape]`. */
  sum: question({ heading: "sum by", paid: each, compared: true, methods: (gradient) => gradient.weightedSums() }),
  /** Inner products with vectors, `[N]`. */
  dot: question({ heading: "dot by", paid: each, methods: (gradient) => gradient.dots() }),
  /** Sums over the batch of squared deviations from its mean, element by element, `[...shape]`. */
  squares: question({ heading: "squares by", paid: once, methods: (gradient) => gradient.sumsOfSquares() }),
  /** Inner products of all pairs, `[N, N]`. */
  gram: question({ heading: "pairs by", paid: once, byPairs: true, methods: gramMethods }),
} as const;

export type Question = keyof typeof questions;

export const questionNames = Object.keys(questions) as readonly Question[];

/** A method that answers the question. */
export type MethodOf<Q extends Question> = ReturnType<(typeof questions)[Q]["methods"]>[number];

/** One method for each question; null if the question is not asked. */
export type Methods = { readonly [Q in Question]: MethodOf<Q> | null };

/** The names of methods, as `explain()` prints them: "materialise", "Gram", "contract", ... */
export type MethodNames = { readonly [Q in Question]?: string };

export function eachQuestion<T>(of: (name: Question) => T): { readonly [Q in Question]: T } {
  return Object.fromEntries(questionNames.map((name) => [name, of(name)])) as { readonly [Q in Question]: T };
}

/** Requirements other than answers. */
const flags = ["gradients", "factors", "plainSum", "strict"] as const;

type Flag = (typeof flags)[number];

/** What wants require of every parameter: how often each question is answered, and more. */
export interface Requirements extends Readonly<Record<Question, number>>, Readonly<Record<Flag, boolean>> {
  /** The gradients, materialised: `[N, ...shape]`. */
  readonly gradients: boolean;
  /** The factored gradients themselves, for methods that a want brings along. */
  readonly factors: boolean;
  /** One of the sums has no weights. */
  readonly plainSum: boolean;
  /** Rounding must not make a sample's part of a weighted sum longer than its norm says; see `Plan.hidden`. */
  readonly strict: boolean;
}

/** What several wants require together. */
export function allRequirements(wants: readonly Partial<Requirements>[]): Requirements {
  const some = (flag: Flag) => wants.some((want) => want[flag]);
  return {
    ...eachQuestion((name) => wants.reduce((total, want) => total + (want[name] ?? 0), 0)),
    gradients: some("gradients"),
    factors: some("factors"),
    plainSum: some("plainSum"),
    strict: some("strict"),
  };
}

/** Whether gradients are needed at all. */
export function needsGradients(required: Requirements): boolean {
  return questionNames.some((name) => required[name] > 0) || flags.some((flag) => required[flag]);
}
