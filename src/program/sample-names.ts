/** The names that a data file gives its samples. */
import { idsName } from "../io/table.js";
import type { Tensor } from "../tensor/tensor.js";
import { textsOf } from "../tensor/texts.js";

export interface SampleNames {
  /** As the file holds them. */
  readonly tensor: Tensor;
  readonly names: readonly string[];
}

/**
 * The names in the tensor "ids": numbers `[N]`, or texts as uint8 `[N, length]`, in UTF-8 and padded with zeros. Undefined if
 * there is none, or if "ids" is an input of the model.
 * @param expected the names of the model's inputs
 */
export function idsIn(data: ReadonlyMap<string, Tensor>, expected: Iterable<string>): SampleNames | undefined {
  const tensor = data.get(idsName);
  const names = tensor && ![...expected].includes(idsName) ? textsOf(tensor) : undefined;
  return tensor && names ? { tensor, names } : undefined;
}
