/** Nodes of operators that few models use: their forms, and the spellings in files that are read as other nodes. */
import { withoutCrop } from "./adapt/crop.js";
import { withoutRepeated } from "./adapt/subscripts.js";
import type { FileNode } from "./file-node.js";
import { type Form, readForms } from "./form.js";
import { rareOperatorForms } from "./rare-operator-forms.js";

const rare = readForms(rareOperatorForms);

export function rareFormOf(op: string): Form | undefined {
  return rare.get(op);
}

/** The node itself, if it is read as it is written. */
export function restated(node: FileNode): FileNode {
  return withoutRepeated(withoutCrop(node));
}
