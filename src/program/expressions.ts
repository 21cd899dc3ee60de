/** `compile`: compiles traced expressions. */
import { invalidArgument, kindOf } from "../arguments.js";
import { Traced } from "../trace/traced.js";
import type { Compiled } from "./compiled.js";

/**
 * Compiles traced expressions, under names of your own, to one program.
 * @throws PergradError INVALID_ARGUMENT if an output is not a traced tensor, or two inputs share a name; UNSUPPORTED_OP or
 * RUNTIME if the runtime cannot load the graph.
 */
export async function compile<T extends Readonly<Record<string, Traced>>>(outputs: T): Promise<Compiled<T>> {
  requireTraced(outputs);
  // The runtime is loaded when it is first used.
  const { compiled } = await import("./compiled.js");
  return compiled(outputs);
}

/** Throws INVALID_ARGUMENT. */
function requireTraced(outputs: Readonly<Record<string, Traced>>): void {
  const given: unknown = outputs;
  if (typeof given !== "object" || given === null || given instanceof Traced)
    throw invalidArgument(
      `compile takes traced tensors by names of your own, not ${kindOf(given)}; give them as in compile({ y }).`,
    );
  for (const [name, each] of Object.entries(given)) {
    if (each instanceof Traced) continue;
    throw invalidArgument(`The expression "${name}" is ${kindOf(each)}; give a traced tensor, or constant(...).`);
  }
}
