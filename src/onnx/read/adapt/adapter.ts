/** Selects the nodes of a file that may be replaced by a form in which samples visibly do not meet. */

import { isBatch } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import { definitionOf } from "../../../ops/registry.js";
import { isFloat } from "../../../tensor/tensor.js";
import type { FileNode } from "../file-node.js";
import type { Adapter } from "../other-forms.js";
import { specialForms } from "../seldom.js";

export function adapter(inputs: ReadonlyMap<Value, number>, fixed: number | undefined): Adapter {
  let forms: Adapter | undefined;
  return {
    replace: (node) => {
      if (!mayBeSpecial(node)) return null;
      forms ??= specialForms(inputs, fixed);
      return forms.replace(node);
    },
  };
}

/** Whether it indexes, sorts, divides integers, convolves with a kernel that depends on the samples, or has them for channels. */
function mayBeSpecial(node: FileNode): boolean {
  const { indexes, layer } = definitionOf(node) ?? {};
  if (indexes || node.op === "TopK") return true;
  const [first, second] = node.inputs;
  if (node.op === "Div") return first !== null && first !== undefined && !isFloat(first.dtype);
  if (layer?.kind === "normalisation") return isBatch(first?.shape[1]);
  return layer?.kind === "convolution" && isBatch(second?.shape[0]);
}
