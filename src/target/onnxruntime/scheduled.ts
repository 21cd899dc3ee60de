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
  /** Whether memory matters more than time. */
  readonly lowMemory: boolean;
}

/**
 * The share of the memory that computing large results separately must save: JavaScript copies their factors, which takes
 * time (6 % of that of a clipped sum of GPT-2 small).
 */
const leastSaving = 1 / 4;

/** Whether large results of a batch are computed separately, to save memory. */
export function isApart({ apart, memory, lowMemory }: Scheduled, samples: number): boolean {
  if (!apart) return false;
  const [separately, atOnce] = [apart.memory.at(samples), memory.at(samples)];
  return separately < atOnce && (lowMemory || separately < (1 - leastSaving) * atOnce);
}

/** Bytes of a batch, computed as `isApart` says. */
export function memoryAt(program: Scheduled, samples: number): number {
  const { apart, memory } = program;
  return (isApart(program, samples) ? apart?.memory : undefined)?.at(samples) ?? memory.at(samples);
}
