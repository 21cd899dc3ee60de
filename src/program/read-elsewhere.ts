/** Reads models in a worker thread: both sides of the exchange. */
import { defect } from "../errors.js";
import type { Model } from "../graph/model.js";
import { operatorsSent, receivedModel, type SentModel, sentModel } from "../graph/sent-model.js";
import { bytesIn, nameOf } from "../onnx/read/content.js";
import type { FileContent, LoadOptions } from "../onnx/read/load-options.js";
import { loadOperators } from "../ops/registry.js";
import type { ElsewhereOptions, Target } from "../target/target.js";

/** What is to be read. */
interface ReadTask {
  readonly source: string | FileContent;
  readonly options: LoadOptions;
}

const isTask = (task: object): task is ReadTask => "source" in task && "options" in task;

const isModel = (read: object): read is SentModel => "graph" in read && "values" in read;

/** Null if there is no thread to read. Throws what reading throws, and the signal's reason. */
export async function readElsewhere(
  source: string | FileContent,
  options: LoadOptions,
  where: ElsewhereOptions,
  { readElsewhere: read }: Target,
): Promise<Model | null> {
  if (!read) return null;
  const task: ReadTask = {
    source: await sendable(source),
    options: { ...options, ...(await externalDataOf(options)) },
  };
  const found = await read(task, where);
  if (!found) return null;
  if (!isModel(found)) throw defect("a worker thread read no model");
  await loadOperators(operatorsSent(found));
  return receivedModel(found);
}

async function externalDataOf({ externalData }: LoadOptions): Promise<Pick<LoadOptions, "externalData">> {
  if (!externalData) return {};
  const given = Object.entries(externalData).map(async ([name, content]) => [name, await withBytes(content)] as const);
  return { externalData: Object.fromEntries(await Promise.all(given)) };
}

/** A response of `fetch` cannot be sent; an address is relative to the page, not to the worker. */
async function sendable(source: string | FileContent): Promise<string | FileContent> {
  if (typeof source !== "string") return withBytes(source);
  const base: unknown = Reflect.get(globalThis, "location");
  return base === undefined ? source : new URL(source, String(base)).href;
}

async function withBytes(content: FileContent): Promise<FileContent> {
  return content instanceof Response ? bytesIn(content, nameOf(content, "the model")) : content;
}

/** The worker's side. Throws what reading throws. */
export async function readFor(task: object): Promise<{ readonly model: object; readonly arrays: ArrayBufferView[] }> {
  if (!isTask(task)) throw defect("a worker thread is asked to read what is no file");
  const { modelFrom } = await import("../onnx/read/model-of.js");
  const model = sentModel(await modelFrom(task.source, task.options));
  return { model, arrays: Object.values(model.values).map(({ data }) => data) };
}
