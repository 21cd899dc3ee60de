import { PergradError } from "../../errors.js";
import type { Value } from "../../graph/value.js";
import { Absent, isTensor, MaskedRows, type NamedItem, type NotTensor, SelectedRows, Selection } from "./sequence.js";

/**
 * The values of a graph by their names in the file; a graph inside a node also sees the values of the graphs around it.
 * A value that could not be decoded is kept as its error, which is thrown when the value is read. A branch that is
 * never taken, or an output that nobody wants, therefore causes no failure.
 */
export class Scope {
  readonly #values = new Map<string, NamedItem | PergradError>();

  constructor(readonly around: Scope | null = null) {}

  has(name: string): boolean {
    return this.#values.has(name) || (this.around?.has(name) ?? false);
  }

  /** Whether the name stands for a tensor, and not for an error or a sequence. */
  holds(name: string): boolean {
    const value = this.#values.get(name);
    return value ? !(value instanceof PergradError) && isTensor(value) : (this.around?.holds(name) ?? false);
  }

  /** What a name stands for if it is not a tensor; undefined for tensors, errors and unknown names. */
  notTensor(name: string): NotTensor | undefined {
    const value = this.#values.get(name) ?? this.around?.notTensor(name);
    return value && !(value instanceof PergradError) && !isTensor(value) ? value : undefined;
  }

  set(name: string, value: NamedItem | PergradError): void {
    this.#values.set(name, value);
  }

  /** Binds the name to the result of `value`, or to the error that it throws. */
  bind(name: string, value: () => NamedItem): void {
    try {
      this.set(name, value());
    } catch (error) {
      if (!(error instanceof PergradError)) throw error;
      this.set(name, error);
    }
  }

  /** A tensor. Throws the error that was kept in its place, and UNSUPPORTED_OP if the name stands for a sequence. */
  get(name: string): Value {
    const item = this.item(name);
    if (isTensor(item)) return item;
    if (item instanceof MaskedRows)
      throw new PergradError(
        "SAMPLES_INTERACT",
        `"${name}" is a list of the elements that a mask picks from all samples, and nothing says which sample an element is from; compute it for all positions, and choose with Where (torch.where).`,
      );
    const what =
      item instanceof Absent
        ? "an optional value that is not there"
        : item instanceof Selection || item instanceof SelectedRows
          ? "a tensor whose length differs from sample to sample"
          : "a sequence of tensors";
    throw new PergradError(
      "UNSUPPORTED_OP",
      `"${name}" is ${what}, where the model needs a tensor; export the model so that it gives and reads tensors only.`,
    );
  }

  /** A tensor or a sequence of tensors. */
  item(name: string): NamedItem {
    const item = this.#values.get(name);
    if (item instanceof PergradError) throw item;
    if (item) return item;
    if (this.around) return this.around.item(name);
    throw new PergradError(
      "UNSUPPORTED_OP",
      `The model reads the output "${name}", which is not among those that pergrad computes; remove what reads it from the model.`,
    );
  }
}
