/**
 * Lets Web Workers read models and compile, for a page that asks for it: the code that talks to them is loaded then.
 */
import type { Elsewhere, ReadElsewhere } from "../target.js";

export const elsewhere: Elsewhere = async (task, options) =>
  (await import("./web-threads.js")).compileInThreads(task, options);

export const readElsewhere: ReadElsewhere = async (task, options) =>
  (await import("./web-threads.js")).readInThread(task, options);
