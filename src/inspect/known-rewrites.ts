/** All rewriting rules of the compiler, by name. */
import { blocking } from "../lower/long-sums.js";
import { splitting } from "../lower/many-samples.js";
import { rewriteNames } from "../optimise/simplify.js";

/** The names of all rules that a log may hold, but for a target's own. */
export const knownRewrites: readonly string[] = [...rewriteNames, blocking, splitting];
