/** The interfaces through which the nodes of a file are changed while it is read. */
import type { Value } from "../../graph/value.js";
import type { FileNode } from "./file-node.js";

/** Changes the nodes of a file that fixes its batch, so that they take any number of samples. */
export interface Rebatcher {
  /** `shapes` are those of the node's outputs in the file's own batch, if they are known. */
  adapt(node: FileNode, shapes: readonly (readonly number[])[] | undefined): FileNode;
  /** Other choices, if nodes could be adapted in several ways; null if all were tried. */
  next(): readonly number[] | null;
}

/** Other forms of a file's nodes, which show that samples do not meet. */
export interface Adapter {
  /** Null if the node is made as it is. */
  replace(node: FileNode): readonly Value[] | null;
}
