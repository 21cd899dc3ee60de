/** Models with other values of their parameters. */
import { PergradError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Model } from "./model.js";

/**
 * The same model with the values of some parameters replaced, for example by trained ones. Throws MISSING_TENSOR,
 * SHAPE_MISMATCH.
 */
export function withParameters(model: Model, parameters: Readonly<Record<string, Tensor<"float32">>>): Model {
  for (const [name, { dims }] of Object.entries(parameters)) {
    const value = model.graph.parameters.find((parameter) => parameter.name === name);
    if (!value)
      throw new PergradError(
        "MISSING_TENSOR",
        `The model has no parameter "${name}"; leave it out, or correct its name.`,
      );
    if (value.shape.length === dims.length && value.shape.every((dim, axis) => dim === dims[axis])) continue;
    const shapes = `is [${dims.join(", ")}], but the model needs [${value.shape.join(", ")}]`;
    throw new PergradError("SHAPE_MISMATCH", `The parameter "${name}" ${shapes}.`);
  }
  return { ...model, parameters: { ...model.parameters, ...parameters } };
}
