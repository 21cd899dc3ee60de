/** The streams that the command line writes to. */
import type { Observer } from "../inspect/observe.js";

export interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Observes what is compiled and run, as PERGRAD_DEBUG asks. */
  readonly observe?: Observer;
}

/** The process's own streams. A reader that stops early (`| head`) is no error. */
export function systemIo(): Io {
  const { stdout, stderr } = process;
  if (!stdout.listeners("error").includes(endQuietly)) stdout.on("error", endQuietly);
  return { stdout, stderr };
}

function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}
