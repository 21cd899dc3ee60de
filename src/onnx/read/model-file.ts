/** ONNX files by their path. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ModelProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import { unreadable } from "../../io/failure.js";
import { parseModel } from "../proto.js";
import { readExternalData } from "./external-files.js";

/** The path that a `file:` URL stands for; any other text is a path itself. */
export function pathOf(text: string): string {
  return text.startsWith("file:") ? fileURLToPath(text) : text;
}

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

/** Parses the model file at `path` and reads the weights stored beside it. */
export async function parseFile(bytes: Uint8Array, path: string): Promise<ModelProto> {
  const proto = parseModel(bytes, path);
  await readExternalData(proto, path);
  return proto;
}
