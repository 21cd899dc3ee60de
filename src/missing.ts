/**
 * Functions of modules that a page loads when it needs them, called deep in code that cannot wait: the first call is broken
 * off, and what was being computed is computed again once the module is there. So it must have no other effects.
 */

/** Breaks off a computation. It is no failure: what catches errors of a computation lets it pass. */
export class Missing extends Error {
  constructor(readonly load: () => Promise<void>) {
    super("a module is missing");
  }
}

/** A function of a module that `load` loads, within `withMissing`. */
export function missing<A extends readonly unknown[], R>(load: () => Promise<(...given: A) => R>) {
  let loaded: ((...given: A) => R) | undefined;
  return (...given: A): R => {
    if (loaded) return loaded(...given);
    throw new Missing(async () => {
      loaded = await load();
    });
  };
}

/** What is computed, by all modules that it needs. */
export async function withMissing<T>(compute: () => T): Promise<T> {
  for (;;) {
    try {
      return compute();
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      await error.load();
    }
  }
}
