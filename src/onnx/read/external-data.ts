/** Weights that a model stores in other files. */
import type { ModelProto } from "onnx-buf";
import type { FileContent } from "./load-options.js";
import { storedElsewhere } from "./stored-elsewhere.js";

/**
 * Reads the data that the model stores in other files into its tensors. Throws INVALID_MODEL, FILE_UNREADABLE (also if
 * a file is not given), TOO_LARGE.
 */
export async function takeExternalData(
  model: ModelProto,
  given: Readonly<Record<string, FileContent>> = {},
): Promise<void> {
  if (storedElsewhere(model).length === 0) return;
  // Few models have external data.
  const { readExternalData } = await import("./external-given.js");
  await readExternalData(model, given);
}
