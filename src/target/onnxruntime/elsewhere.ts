/** Whether worker threads compile: those of Node only run programs. */
import type { Elsewhere } from "../target.js";

export const elsewhere: Elsewhere | undefined = undefined;
