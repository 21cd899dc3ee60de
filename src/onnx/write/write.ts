/** Writes encoded graphs to files. */
import { kindOf } from "../../arguments.js";
import { PergradError } from "../../errors.js";
import { AtomicFile, writeFileSafely } from "../../io/atomic.js";
import { type EncodableProgram, encodeModel } from "./encode.js";
import { ExternalData } from "./external-data.js";

/** Where weights are stored. */
export interface SaveOptions {
  /**
   * Whether the weights are written to a file of their own beside the model's, under its name and ".data"; the two
   * belong together, in one folder. Default: if they take more than 1.5 GB, because one ONNX file holds at most 2 GB.
   */
  readonly externalData?: boolean;
}

const maxInside = 1.5e9;

/** The most bytes that protobuf, and therefore one ONNX file, can hold. */
const maxOfFile = 2 ** 31 - 1;

function storedBytes({ parameters = {} }: EncodableProgram): number {
  return Object.values(parameters).reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** Throws TOO_LARGE if the parameters do not fit into one file. */
export function requireWithin(program: EncodableProgram): void {
  const stored = storedBytes(program);
  if (stored <= maxOfFile) return;
  throw new PergradError(
    "TOO_LARGE",
    `The parameters take ${stored} bytes, and one ONNX file holds at most ${maxOfFile}; ` +
      "save it to a path, so that they go into a file beside it.",
  );
}

/**
 * Writes the graph, and its weights if they are stored in a separate file. Each file appears once it is complete.
 * Throws FILE_UNWRITABLE.
 */
export async function writeModel(
  program: EncodableProgram,
  path: string,
  { externalData }: SaveOptions = {},
): Promise<void> {
  const given: unknown = path;
  if (typeof given !== "string" || given === "")
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The path to write to cannot be ${kindOf(given)}; give the name of an .onnx file.`,
    );
  if (externalData !== undefined && typeof externalData !== "boolean") {
    throw new PergradError("INVALID_ARGUMENT", `externalData must be true or false, not ${String(externalData)}.`);
  }
  if (externalData === false) requireWithin(program);
  if (!(externalData ?? storedBytes(program) > maxInside)) {
    await writeFileSafely(path, encodeModel(program));
    return;
  }
  const external = new ExternalData(`${nameOf(path)}.data`);
  const bytes = encodeModel(program, external);
  const file = await AtomicFile.create(`${path}.data`);
  try {
    await file.resize(external.size);
    await external.write(file);
  } catch (error) {
    await file.abort();
    throw error;
  }
  await file.commit();
  await writeFileSafely(path, bytes);
}

/** The last part of a path. */
function nameOf(path: string): string {
  const windows = typeof process !== "undefined" && process.platform === "win32";
  return path.split(windows ? /[\\/]/ : "/").at(-1) ?? path;
}
