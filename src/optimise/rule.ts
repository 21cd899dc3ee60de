import { inputOf, outputOf } from "../graph/operands.js";
import type { Node, Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";

/** Takes a node to cheaper values that equal its outputs, or returns null if it does not apply. */
export type Rewrite = (node: Node, build: Build) => Value[] | null;

/** A local rewriting rule. */
export interface Rule {
  /** Its name in a log of rewrites; no two rules share one. */
  readonly name: string;
  /** The operators that it looks for: it is tried at no other node. Default: all. */
  readonly ops?: readonly string[];
  readonly rewrite: Rewrite;
}

/** The node's first output. */
export function output(node: Node): Value {
  return outputOf(node, 0);
}

/** The input at `index`, which must be present. */
export function input(node: Node, index: number): Value {
  return inputOf(node, index);
}
