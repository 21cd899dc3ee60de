/** Sorting of samples, which a TopK may do. */
import type { PergradError } from "../../errors.js";
import { isBatch } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node } from "../../graph/value.js";
import type { Call } from "../call.js";
import { intAttribute, interaction } from "../checks.js";
import { lineAxis } from "./lines.js";

/** The axis along which a TopK sorts. */
export const topAxis = (node: Call | Node) => lineAxis(node, intAttribute(node, "axis", -1));

/** Sorting all samples is allowed if it is undone later; the reader of the file then removes both steps. */
export function sortsSamples(call: Call | Node): PergradError {
  return interaction(
    call,
    "sorts the samples, and pergrad could not show that what is done with them in that order is done to each alone and put back",
    "export the model without sorting: for PyTorch's pack_padded_sequence, pack with enforce_sorted=True or hand the lengths to the network itself",
  );
}

/** Whether a TopK sorts along the sample axis. */
export function sortsAll(node: Node): boolean {
  return isBatch(inputOf(node, 0).shape[topAxis(node)]);
}
