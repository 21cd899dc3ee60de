import { PergradError } from "../errors.js";
import { arrayOf, sizeOf, type TypedArray } from "../tensor/tensor.js";
import type { TensorLayout } from "./bytes.js";

/** Writes tensors of known shapes piece by piece, in any order; every element exactly once. */
export interface TensorWriter {
  /** Writes a run of elements of a tensor, starting at an offset counted in elements. */
  write(name: string, elementOffset: number, data: TypedArray): Promise<void>;
  /** Puts the finished file in its place. Until then nothing is visible under its name. */
  commit(): Promise<void>;
  /** Gives up and removes what was written; harmless after `commit`, so it can stand in a `finally`. */
  abort(): Promise<void>;
}

/** Checks the pieces given to a writer: zeros that nobody wrote would be silently wrong numbers. */
export class PieceChecker<L extends TensorLayout> {
  readonly #written = new Map<string, number>();

  constructor(
    private readonly path: string,
    private readonly layout: ReadonlyMap<string, L>,
  ) {}

  check(name: string, elementOffset: number, data: TypedArray): L {
    const layout = this.layout.get(name);
    if (!layout) throw this.#invalid(`the file was opened without a tensor "${name}"`);
    if (!(data instanceof arrayOf(layout.dtype))) {
      throw this.#invalid(`tensor "${name}" is ${layout.dtype}, not what ${data.constructor.name} holds`);
    }
    const size = sizeOf(layout.dims);
    if (!Number.isInteger(elementOffset) || elementOffset < 0 || elementOffset + data.length > size) {
      const range = `${elementOffset}..${elementOffset + data.length}`;
      throw this.#invalid(`elements ${range} lie outside tensor "${name}", which has ${size}`);
    }
    this.#written.set(name, (this.#written.get(name) ?? 0) + data.length);
    return layout;
  }

  /** Aborts the file and throws if elements are missing or were written twice. */
  async checkComplete(file: { abort(): Promise<void> }): Promise<void> {
    for (const [name, layout] of this.layout) {
      const [written, size] = [this.#written.get(name) ?? 0, sizeOf(layout.dims)];
      if (written === size) continue;
      await file.abort();
      throw this.#invalid(`${written} elements were written of tensor "${name}", which has ${size}`);
    }
  }

  #invalid(problem: string): PergradError {
    return new PergradError(
      "INVALID_ARGUMENT",
      `Cannot write "${this.path}": ${problem}; write each tensor once, with the announced dtype and shape.`,
    );
  }
}
