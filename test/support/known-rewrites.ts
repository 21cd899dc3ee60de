/** All rewriting rules of the compiler, by name: what its logs may name. */
import { blocking } from "../../src/lower/long-sums.js";
import { splitting } from "../../src/lower/many-samples.js";
import { rewriteNames } from "../../src/optimise/simplify.js";

/** The names of all rules that a log may hold, except those of a target. */
export const knownRewrites: readonly string[] = [...rewriteNames, blocking, splitting];
