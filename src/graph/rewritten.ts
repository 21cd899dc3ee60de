/** What an observer of rewrites receives. */
import type { Node, Value } from "./value.js";

/** One step of a clean-up: the values that replace a node's outputs. */
export interface Rewritten {
  /** The rule that fired; null if the node was only rebuilt over changed inputs, or merged with an equal one. */
  readonly rule: string | null;
  /** The node that was replaced. */
  readonly node: Node;
  /** The values that replace its outputs, in their order. */
  readonly results: readonly Value[];
}

/** Called for every step. */
export type OnRewrite = (rewritten: Rewritten) => void;
