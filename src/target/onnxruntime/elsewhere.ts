/** Whether worker threads read and compile: those in Node only run programs. */
import type { Elsewhere, ReadElsewhere } from "../target.js";

export const elsewhere: Elsewhere | undefined = undefined;

export const readElsewhere: ReadElsewhere | undefined = undefined;
