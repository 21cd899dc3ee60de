/** The reference of a check, in the calling thread. */
import { differenceErrors, type Try } from "./differences.js";
import { Reference, type ReferenceParts } from "./oracle.js";

export interface References {
  /** The number of samples that it computes at once. */
  readonly lanes: number;
  /** See `Reference.sample`. */
  gradients(sample: number): Promise<ReadonlyMap<string, Float64Array>>;
  /** See `Reference.products`. */
  products(sample: number): Promise<ReadonlyMap<string, Float64Array>>;
  /** See `differenceErrors`. */
  differences(sample: number, tries: readonly Try[]): Promise<readonly (number | null)[]>;
  release(): Promise<void>;
}

export class InThisThread implements References {
  readonly lanes = 1;
  readonly #reference: Reference;

  constructor(parts: ReferenceParts) {
    this.#reference = new Reference(parts);
  }

  async gradients(sample: number): Promise<ReadonlyMap<string, Float64Array>> {
    return this.#reference.sample(sample).gradients;
  }

  async products(sample: number): Promise<ReadonlyMap<string, Float64Array>> {
    return this.#reference.products(sample);
  }

  async differences(sample: number, tries: readonly Try[]): Promise<readonly (number | null)[]> {
    return differenceErrors(this.#reference, sample, tries);
  }

  async release(): Promise<void> {}
}
