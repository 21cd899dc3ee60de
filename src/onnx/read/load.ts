/** Reads an ONNX file as a model. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ModelProto } from "onnx-buf";
import {
  awaited,
  checkGlobs,
  checkOptions,
  invalidArgument,
  isPromise,
  kindOf,
  type OptionNames,
} from "../../arguments.js";
import { batchOver } from "../../autodiff/vmap.js";
import { PergradError } from "../../errors.js";
import type { Model } from "../../graph/model.js";
import { unreadable } from "../../io/failure.js";
import { build } from "../../ops/registry.js";
import { parseModel } from "../proto.js";
import { adapter } from "./adapt/adapter.js";
import type { FixedValue } from "./batch/fixed-inputs.js";
import { rebatcher } from "./batch/rebatch.js";
import { decodeModel } from "./decode.js";
import { readExternalData } from "./external.js";

/** Options of `loadModel`. */
export interface LoadOptions {
  /**
   * The axis of an input that holds the samples (negative ones count from the end), or null where all samples
   * share it. Default: the axis that the file names as the batch, else axis 0; an input of fixed shape
   * is shared where others leave their batch open.
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
  /** Names or globs of initializers that are parameters even if they look like constants (scales, masks). Default: none. */
  readonly parameters?: readonly string[];
  /**
   * Whether a weight that the file stores a second time, as a copy or transposed, is the same parameter as the first
   * (default: true, with a note). False keeps them apart.
   */
  readonly tie?: boolean;
  /**
   * Whether it is an error (FOLDED_PARAMETERS) that the file's exporter computed constants from parameters, whose
   * gradients then lack that path (default: false, a note). Only files that say so are told: those of PyTorch's newer exporter.
   */
  readonly strict?: boolean;
  /** The outputs that are wanted. Default: all; those after the first that pergrad cannot compute are left out, with a note. */
  readonly outputs?: readonly string[];
}

/**
 * Reads an ONNX model from a file (its path, or a `file:` URL), or from its bytes. Its floating-point initializers become parameters under
 * their own names, in float32. Those that are stored in other files of its folder are found by the model's path.
 * @throws PergradError FILE_UNREADABLE, NOT_ONNX, INVALID_MODEL, UNSUPPORTED_OP, UNKNOWN_SHAPE, SHAPE_MISMATCH,
 * DTYPE_MISMATCH, INVALID_ARGUMENT, FOLDED_PARAMETERS.
 */
export function loadModel(source: string | URL | Uint8Array | ArrayBuffer, options: LoadOptions = {}): Promise<Model> {
  return awaited(load(source, options), "loadModel(...)", ["graph", "parameters", "notes"]);
}

async function load(source: string | URL | Uint8Array | ArrayBuffer, options: LoadOptions): Promise<Model> {
  checkOptions("loadModel(path, options)", options, loadOptions);
  checkGlobs("parameters", options.parameters);
  checkGlobs("outputs", options.outputs);
  if (source instanceof Uint8Array) return modelOf(source, "the model", options);
  if (source instanceof ArrayBuffer) return modelOf(new Uint8Array(source), "the model", options);
  const path = pathOf(source);
  return modelOf(await parseFile(await readModel(path), path), path, options);
}

/** Throws INVALID_ARGUMENT; FILE_UNREADABLE for what is on another machine. */
function pathOf(source: string | URL): string {
  const given: unknown = source;
  if (typeof given !== "string" && !(given instanceof URL))
    throw invalidArgument(
      `loadModel takes the path of an .onnx file or its bytes, not ${kindOf(given)}; ${isPromise(given) ? "await it first" : "give one of these"}.`,
    );
  const text = String(source);
  return text.startsWith("file:") ? fileURLToPath(text) : text;
}

const loadOptions: OptionNames<LoadOptions> = {
  sampleAxes: true,
  dimensions: true,
  fix: true,
  parameters: true,
  tie: true,
  strict: true,
  outputs: true,
};

/** The bytes of a model file. Throws FILE_UNREADABLE. */
export async function readModel(path: string): Promise<Uint8Array> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_FS_FILE_TOO_LARGE") {
      const problem = "it is larger than 2 GiB, which no ONNX file can be";
      throw new PergradError("FILE_UNREADABLE", `Cannot read "${path}": ${problem}.`, { cause: error });
    }
    throw unreadable(path, error);
  }
}

/** Parses the model file at `path` and reads the weights that lie beside it. */
export async function parseFile(bytes: Uint8Array, path: string): Promise<ModelProto> {
  const proto = parseModel(bytes, path);
  await readExternalData(proto, path);
  return proto;
}

/** Decodes a model; `fileName` is for messages. */
export function modelOf(source: Uint8Array | ModelProto, fileName: string, options: LoadOptions): Model {
  return decodeModel(source, { ...options, fileName, build, batchOver, rebatcher, adapter });
}
