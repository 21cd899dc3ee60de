/** What a scheduled program is. */
import type { Schedulable } from "../target.js";
import type { Apart } from "./apart.js";
import type { Ordered } from "./order.js";
import type { Handover } from "./results.js";

/** A program in its order of execution, with how its results are returned. */
export interface Scheduled extends Ordered {
  readonly inputs: Schedulable["inputs"];
  /** The outputs of the runtime, to which order and memory refer: those of the handover that takes the least time. */
  readonly outputs: Handover["outputs"];
  /** How the results are made from them. */
  readonly handover: Handover;
  /** The same program with large results computed separately, if that may take less memory. */
  readonly apart: Apart | undefined;
}

/** Whether a batch takes less memory if large results are computed separately. */
export function isApart({ apart, memory }: Scheduled, samples: number): boolean {
  return apart !== undefined && apart.memory.at(samples) < memory.at(samples);
}
