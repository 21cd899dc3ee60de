/** The bytes of an ONNX file, and the model that they are. */
import { readFile } from "node:fs/promises";
import type { ModelProto } from "onnx-buf";
import { batchOver } from "../../autodiff/vmap.js";
import { PergradError } from "../../errors.js";
import type { Model } from "../../graph/model.js";
import { unreadable } from "../../io/failure.js";
import { build } from "../../ops/registry.js";
import { parseModel } from "../proto.js";
import { adapter } from "./adapt/adapter.js";
import { rebatcher } from "./batch/rebatch.js";
import { decodeModel } from "./decode.js";
import { readExternalData } from "./external.js";
import type { LoadOptions } from "./load-options.js";

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
