/** `openProgram`: opens a saved program. */
import { awaited, checkOptions, forgottenAwait, type OptionNames } from "../arguments.js";
import { requireWants } from "../wants/given-wants.js";
import type { Wants } from "../wants/want.js";
import type { OpenOptions, SavedProgram } from "./saved-program.js";

const accessors = forgottenAwait("openProgram(...)", ["run", "runAll", "stream", "memory", "release"]);

const openOptions: OptionNames<OpenOptions<Wants>> = {
  want: true,
  loss: true,
  threads: true,
  memoryBudget: true,
  microbatchSize: true,
};

/**
 * Opens a program that `program.save` or `program.encode` wrote, without compiling. It runs, streams and checks its data as the
 * compiled program does, with the parameters that were saved.
 * @param source a path, or the file's bytes
 * @param options the wants and the loss with which it was compiled
 * @throws PergradError INVALID_ARGUMENT (no saved program, another version, or other wants), FILE_UNREADABLE, NOT_ONNX,
 * INVALID_MODEL, RUNTIME.
 */
export function openProgram<W extends Wants>(
  source: string | Uint8Array,
  options: OpenOptions<W>,
): Promise<SavedProgram<W>> {
  return awaited(openFor(source, options), accessors);
}

async function openFor<W extends Wants>(
  source: string | Uint8Array,
  options: OpenOptions<W>,
): Promise<SavedProgram<W>> {
  checkOptions("openProgram(path, options)", options, openOptions);
  requireWants(options.want);
  // The runtime is loaded when it is first used.
  const { SavedProgram } = await import("./saved-program.js");
  return SavedProgram.open(source, options);
}
