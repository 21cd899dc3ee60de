/** Writes a model as an ONNX file. This is the entry point for callers. */
import type { Model } from "../../graph/model.js";
import { requireModel } from "../../nn/given-model.js";
import type { SaveOptions } from "./write.js";

/**
 * Writes the model as ONNX (opset 21; operators of later ones in parts), its parameters under their names: inside, or beside it (`externalData`). Files
 * appear when they are complete.
 * A model from a file keeps all its floating-point initializers: constants as they were, and weights that repeat
 * others with these others' elements.
 * @throws PergradError FILE_UNWRITABLE, INVALID_ARGUMENT.
 */
export async function saveModel(
  model: Model,
  path: string,
  {
    metadata = {},
    ...options
  }: SaveOptions & {
    /** Goes into the file's properties, by name. Default: none. */
    readonly metadata?: Readonly<Record<string, string>>;
  } = {},
): Promise<void> {
  requireModel(model, "saveModel");
  // The writer is loaded on first use.
  const [{ programOf }, { writeModel }] = await Promise.all([import("./model-program.js"), import("./write.js")]);
  await writeModel({ ...programOf(model), metadata }, path, options);
}
