/** The streams that the command line writes to. */
import type { Observer } from "../inspect/observe.js";
import { removeUnfinishedFiles } from "../io/atomic.js";
import { outputUnwritable } from "../io/failure.js";

export interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Observes what is compiled and run, as PERGRAD_DEBUG asks. */
  readonly observe?: Observer;
}

/** The process's own streams. A reader that stops early (`| head`) is no error. */
export function systemIo(): Io {
  const { stdout, stderr } = process;
  if (!stdout.listeners("error").includes(endWithoutOutput)) stdout.on("error", endWithoutOutput);
  return { stdout, stderr };
}

function endWithoutOutput(error: NodeJS.ErrnoException): void {
  removeUnfinishedFiles();
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`pergrad: ${outputUnwritable(error).message}\n`);
  process.exit(1);
}
