/** The type of an upgrade step, and what the steps share. */
import type { Attributes, Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import type { FileNode } from "../file-node.js";

export type Rewrite = (node: FileNode, build: Build) => FileNode;

export interface Upgrade {
  /** The opset that introduced the newer form. */
  readonly below: number;
  readonly rewrite: Rewrite;
  /** Whether the operator itself no longer exists in newer opsets. */
  readonly renames?: boolean;
}

export function without(attributes: Attributes, ...names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)));
}

/** The node with its inputs from `first` on replaced. Absent inputs at the end are dropped. */
export function withInputs(node: FileNode, first: number, values: readonly (Value | null)[]): FileNode {
  const inputs = [...node.inputs.slice(0, first), ...values];
  while (inputs.length > 0 && inputs.at(-1) === null) inputs.pop();
  return { ...node, inputs };
}

/** A rule that only drops attributes. */
export const dropping =
  (...names: readonly string[]): Rewrite =>
  (node) => ({ ...node, attributes: without(node.attributes, ...names) });
