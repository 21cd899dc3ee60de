/** Web Workers read models and compile, in a page that asks for it: what speaks to them is loaded then. */
import type { Elsewhere, ReadElsewhere } from "../target.js";

export const elsewhere: Elsewhere = async (task, options) =>
  (await import("./web-threads.js")).compileInThreads(task, options);

export const readElsewhere: ReadElsewhere = async (task, options) =>
  (await import("./web-threads.js")).readInThread(task, options);
