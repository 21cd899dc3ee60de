/** What a scheduled program is. */
import type { Schedulable } from "../target.js";
import type { Apart } from "./apart.js";
import type { Ordered } from "./order.js";
import type { Handover } from "./results.js";

/** A program in the order in which it is run, with how its results are handed over. */
export interface Scheduled extends Ordered {
  readonly inputs: Schedulable["inputs"];
  /** What the runtime is to give, whose order and memory these are: that of the handover, as it takes the runtime the least time. */
  readonly outputs: Handover["outputs"];
  /** How the results are made of it. */
  readonly handover: Handover;
  /** The same with large results computed apart, where that may take less memory. */
  readonly apart: Apart | undefined;
}

/** Whether a batch takes less memory where large results are computed apart. */
export function isApart({ apart, memory }: Scheduled, samples: number): boolean {
  return apart !== undefined && apart.memory.at(samples) < memory.at(samples);
}
