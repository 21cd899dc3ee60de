/** Tables of facts about kinds of gradients, and about pairs of kinds: the first entry that matches is used. */
import type { Factored } from "./factored.js";

/** The class of a kind; instances of derived classes are of that kind too. */
type KindOf<G extends Factored> = abstract new (...args: never[]) => G;

/** Computes something for a gradient; undefined if it is of another kind. */
type Entry<More extends readonly unknown[], R> = (gradient: Factored, ...more: More) => R | undefined;

/** Computes something for two gradients of one parameter; undefined if they are of other kinds. */
type PairEntry<More extends readonly unknown[], R> = (a: Factored, b: Factored, ...more: More) => R | undefined;

export function kind<G extends Factored, More extends readonly unknown[], R>(
  of: KindOf<G>,
  make: (gradient: G, ...more: More) => R,
): Entry<More, R> {
  return (gradient, ...more) => (gradient instanceof of ? make(gradient, ...more) : undefined);
}

export function pair<A extends Factored, B extends Factored, More extends readonly unknown[], R>(
  first: KindOf<A>,
  second: KindOf<B>,
  make: (a: A, b: B, ...more: More) => R,
): PairEntry<More, R> {
  return (a, b, ...more) => (a instanceof first && b instanceof second ? make(a, b, ...more) : undefined);
}

/** The result of the first entry that matches; undefined if none does. */
export function firstOf<Given extends readonly unknown[], R>(
  entries: readonly ((...given: Given) => R | undefined)[],
): (...given: Given) => R | undefined {
  return (...given) => {
    for (const entry of entries) {
      const made = entry(...given);
      if (made !== undefined) return made;
    }
    return undefined;
  };
}
