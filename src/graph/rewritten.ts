/** What an observer of rewrites receives. */
import type { Node, Value } from "./value.js";

/** One step of a clean-up: what stands for a node's outputs from then on. */
export interface Rewritten {
  /** The rule that fired; null where the node was only made anew, over inputs that changed, or merged with an equal one. */
  readonly rule: string | null;
  /** The node that was replaced. */
  readonly node: Node;
  /** What stands in the place of its outputs, in their order. */
  readonly results: readonly Value[];
}

/** Called for every step. */
export type OnRewrite = (rewritten: Rewritten) => void;
