/** How a file is read. */
import type { OptionNames } from "../../arguments.js";
import type { FixedValue } from "./batch/fixed-inputs.js";

/** Options of `loadModel`. */
export interface LoadOptions {
  /**
   * The axis of an input that holds the samples (negative ones count from the end), or null if all samples share it.
   * Default: the axis that the file names as the batch, else axis 0; an input of fixed shape is shared if others leave
   * their batch open.
   */
  readonly sampleAxes?: Readonly<Record<string, number | null>>;
  /**
   * Sizes of symbolic dimensions, by their name in the file, or as `input.axis`. The batch needs none; a size given for
   * it is the one for which numbers in the file were computed. Default: none.
   */
  readonly dimensions?: Readonly<Record<string, number>>;
  /**
   * Inputs to turn into constants, by name: the same value in every run and for all samples. One number stands for
   * every element; else give the elements in row-major order, or a tensor. An input with a sample axis holds the value
   * once for each sample. An `If` on a sampling rate can then be followed. Default: none.
   */
  readonly fix?: Readonly<Record<string, FixedValue>>;
  /**
   * Names or globs of initializers that are parameters even if they look like constants (scales, masks). Default: none.
   * One that matches nothing is an error (NO_PARAMETERS).
   */
  readonly parameters?: readonly string[];
  /**
   * Whether a weight that the file stores a second time, as a copy or transposed, is the same parameter as the first
   * (default: true, with a note). False keeps them apart.
   */
  readonly tie?: boolean;
  /**
   * Whether it is an error (FOLDED_PARAMETERS) that the file's exporter computed constants from parameters, whose
   * gradients then lack that path (default: false, a note). Only files that record it are noticed: those of PyTorch's newer exporter.
   */
  readonly strict?: boolean;
  /**
   * The outputs to read. Default: all; outputs after the first that pergrad cannot compute are left out, with a note.
   */
  readonly outputs?: readonly string[];
  /**
   * Files of weights that the model refers to, by the names it uses: `{ "model.onnx.data": file }`. Only the needed
   * parts of a `Blob` or `File` are read. Default: they are next to the model, if it is read from a path.
   */
  readonly externalData?: Readonly<Record<string, FileContent>>;
}

/** The contents of a file: its bytes, or something to read them from. */
export type FileContent = Uint8Array | ArrayBuffer | Blob | Response;

export const loadOptions: OptionNames<LoadOptions> = {
  sampleAxes: true,
  dimensions: true,
  fix: true,
  parameters: true,
  tie: true,
  strict: true,
  outputs: true,
  externalData: true,
};
