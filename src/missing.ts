/**
 * Calls functions of modules that a page loads only when it needs them, from code that cannot wait. The first call
 * breaks off the computation; once the module is loaded, the computation runs again from its start. So it must have no
 * other effects.
 */
import { PergradError } from "./errors.js";

/**
 * Breaks off a computation. This is no failure: code that catches the errors of a computation must let it pass
 * (`isMissing`).
 */
export class Missing extends Error {
  constructor(readonly load: () => Promise<void>) {
    super("a module is missing");
  }
}

/** The same for calls outside `withMissing`, as user code may make: an error that says what to do. */
export class NotLoaded extends PergradError {
  constructor(
    message: string,
    readonly load: () => Promise<void>,
  ) {
    super("UNSUPPORTED_OP", message);
  }
}

/** The `Missing` or `NotLoaded` that an error is, or has among its causes. */
function missingIn(error: unknown): Missing | NotLoaded | undefined {
  if (error instanceof Missing || error instanceof NotLoaded) return error;
  return error instanceof Error ? missingIn(error.cause) : undefined;
}

/** Whether a computation was broken off, and can be done again. */
export function isMissing(error: unknown): boolean {
  return missingIn(error) !== undefined;
}

/** A function of the module that `load` loads, for use within `withMissing`. */
export function missing<A extends readonly unknown[], R>(load: () => Promise<(...given: A) => R>) {
  let loaded: ((...given: A) => R) | undefined;
  return (...given: A): R => {
    if (loaded) return loaded(...given);
    throw new Missing(async () => {
      loaded = await load();
    });
  };
}

/** Runs `compute`, again after each module that it needs has been loaded, and returns its result. */
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
