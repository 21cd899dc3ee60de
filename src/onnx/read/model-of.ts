/** Reads the model of an ONNX file. */
import type { ModelProto } from "onnx-buf";
import { batchOver } from "../../autodiff/vmap.js";
import type { Model } from "../../graph/model.js";
import { withMissing } from "../../missing.js";
import { build } from "../../ops/registry.js";
import { parseModel } from "../proto.js";
import { adapter } from "./adapt/adapter.js";
import { bytesIn, nameOf } from "./content.js";
import { decodeModel } from "./decode.js";
import { takeExternalData } from "./external-data.js";
import type { FileContent, LoadOptions } from "./load-options.js";
import { parseFile, pathOf, readModel } from "./model-file.js";
import { readable } from "./saved-graph.js";
import { rebatcher } from "./seldom.js";

/** Reads a model from its content, or from a path or address. */
export async function modelFrom(source: string | FileContent, options: LoadOptions): Promise<Model> {
  const name = typeof source === "string" ? pathOf(source) : nameOf(source, "the model");
  const bytes = await (typeof source === "string" ? readModel(name) : bytesIn(source, name));
  const { externalData, ...own } = options;
  const beside = typeof source === "string" && !externalData;
  const proto = beside ? await parseFile(bytes, name) : parseModel(bytes, name);
  if (!beside) await takeExternalData(proto, externalData);
  await readable(proto);
  return withMissing(() => modelOf(proto, name, own));
}

/** Decodes a model; `fileName` is for messages. */
export function modelOf(source: Uint8Array | ModelProto, fileName: string, options: LoadOptions): Model {
  return decodeModel(source, { ...options, fileName, build, batchOver, rebatcher, adapter });
}
