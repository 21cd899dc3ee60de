/** Writes a model as an ONNX file. This is the entry point for callers. */
import type { Model } from "../../graph/model.js";
import { requireModel } from "../../nn/given-model.js";
import type { SaveOptions } from "./write.js";

/**
 * Writes the model as ONNX (opset 21; operators of later opsets are decomposed). Its parameters are stored under their
 * names, in the file or in one beside it (`externalData`). Files appear when they are complete.
 * A model from a file keeps all its floating-point initializers: constants as they were, and weights that repeat other
 * weights with the elements of those.
 * @throws PergradError FILE_UNWRITABLE, INVALID_ARGUMENT.
 */
export async function saveModel(
  model: Model,
  path: string,
  {
    metadata = {},
    ...options
  }: SaveOptions & {
    /** Written to the file's properties, by name. Default: none. */
    readonly metadata?: Readonly<Record<string, string>>;
  } = {},
): Promise<void> {
  requireModel(model, "saveModel");
  // The writer is loaded on first use.
  const [{ programOf }, { writeModel }] = await Promise.all([import("./model-program.js"), import("./write.js")]);
  await writeModel({ ...programOf(model), metadata }, path, options);
}
