import type { Node, Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";

/** Takes a node to cheaper values that equal its outputs, or gives null where it does not apply. */
export type Rule = (node: Node, build: Build) => Value[] | null;
