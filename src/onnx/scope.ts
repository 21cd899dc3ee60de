import { PergradError } from "../errors.js";
import type { Value } from "../graph/value.js";

/**
 * The values of a graph by their names in the file; a graph inside a node sees those around it. What could
 * not be decoded is kept as its error, which is thrown where the value is read: a branch never taken, or an
 * output that nobody wants, hinders nobody.
 */
export class Scope {
  readonly #values = new Map<string, Value | PergradError>();

  constructor(readonly around: Scope | null = null) {}

  has(name: string): boolean {
    return this.#values.has(name) || (this.around?.has(name) ?? false);
  }

  set(name: string, value: Value | PergradError): void {
    this.#values.set(name, value);
  }

  /** What `value` gives, or the error that it throws. */
  bind(name: string, value: () => Value): void {
    try {
      this.set(name, value());
    } catch (error) {
      if (!(error instanceof PergradError)) throw error;
      this.set(name, error);
    }
  }

  get(name: string): Value {
    const value = this.#values.get(name);
    if (value instanceof PergradError) throw value;
    if (value) return value;
    if (this.around) return this.around.get(name);
    throw new PergradError(
      "UNSUPPORTED_OP",
      `The output "${name}" of its node is not among those that pergrad computes.`,
    );
  }
}
