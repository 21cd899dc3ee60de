/** Runs the cases that it is told to run, in a process that they may kill. */
import { attempt, type Outcome } from "./attempt.js";
import { Cases } from "./cases.js";

export interface Answer {
  readonly what: string;
  readonly outcome: Outcome;
  /** The highest memory use of the process so far, and its memory when the case began, in bytes. */
  readonly peak: number;
  readonly base: number;
}

/** The process is in use from here on, so time counts. */
export const started = "started";

const cases = new Cases(Number(process.argv[2]));

process.on("message", async (index: number) => {
  const made = cases.at(index);
  const base = process.memoryUsage.rss();
  process.send?.(started);
  const outcome = await attempt(made);
  const peak = process.resourceUsage().maxRSS * 1024;
  process.send?.({ what: made.what, outcome, peak, base } satisfies Answer);
});
