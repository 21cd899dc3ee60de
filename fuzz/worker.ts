/** Runs cases as it is told, in a thread that may die of them. */
import { parentPort, workerData } from "node:worker_threads";
import { attempt, type Outcome } from "./attempt.js";
import { Cases } from "./cases.js";

export interface Answer {
  readonly what: string;
  readonly outcome: Outcome;
}

const { seed } = workerData as { readonly seed: number };
const cases = new Cases(seed);

parentPort?.on("message", (index: number) => {
  const made = cases.at(index);
  // From here on time counts.
  parentPort?.postMessage("started");
  const outcome = attempt(made);
  parentPort?.postMessage({ what: made.what, outcome } satisfies Answer);
});
