import type { Node, Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";

/** Takes a node to cheaper values that equal its outputs, or gives null where it does not apply. */
export type Rewrite = (node: Node, build: Build) => Value[] | null;

/** A local rewriting rule. */
export interface Rule {
  /** What a log of rewrites calls it; no two rules have the same. */
  readonly name: string;
  readonly rewrite: Rewrite;
}

/** One step of a clean-up: what stands for a node's outputs from then on. */
export interface Rewritten {
  /** The rule that fired; null where the node was only made anew, over inputs that changed, or merged with an equal one. */
  readonly rule: string | null;
  readonly node: Node;
  readonly results: readonly Value[];
}

/** Is told of every step. */
export type OnRewrite = (rewritten: Rewritten) => void;
