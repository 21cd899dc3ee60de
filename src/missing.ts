/**
 * What a page loads when it needs it, called deep in code that cannot wait: the first call is broken off, and what was
 * being computed is computed again once the module is there. So it must have no other effects.
 */
import { PergradError } from "./errors.js";

/** Breaks off a computation. It is no failure: what catches errors of a computation lets it pass (`isMissing`). */
export class Missing extends Error {
  constructor(readonly load: () => Promise<void>) {
    super("a module is missing");
  }
}

/** The same where a user's own code may have asked, outside `withMissing`: an error, which says what to do. */
export class NotLoaded extends PergradError {
  constructor(
    message: string,
    readonly load: () => Promise<void>,
  ) {
    super("UNSUPPORTED_OP", message);
  }
}

/** What is missing, where an error, or what caused it, says so. */
function missingIn(error: unknown): Missing | NotLoaded | undefined {
  if (error instanceof Missing || error instanceof NotLoaded) return error;
  return error instanceof Error ? missingIn(error.cause) : undefined;
}

/** Whether a computation was broken off, and can be done again. */
export function isMissing(error: unknown): boolean {
  return missingIn(error) !== undefined;
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
      const found = missingIn(error);
      if (!found) throw error;
      await found.load();
    }
  }
}
