import { setTimeout as sleep } from "node:timers/promises";

/** Times alternatives in turn, round after round, so that a noisy machine is noisy to all of them alike. */
export interface Alternative {
  readonly name: string;
  run(): Promise<void>;
}

/** Milliseconds: the median over all rounds, and the fastest and slowest tenth. */
export interface Timing {
  readonly name: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
}

/** Milliseconds of rest before each timed run. */
const settle = 20;

/** Runs every alternative once per round for about `seconds`, after two rounds that do not count. */
export async function interleave(alternatives: readonly Alternative[], seconds: number): Promise<Timing[]> {
  const times = alternatives.map((): number[] => []);
  for (let warm = 0; warm < 2; warm++) for (const each of alternatives) await each.run();
  const end = performance.now() + seconds * 1000;
  const order = [...alternatives.keys()];
  for (let round = 0; round < 5 || performance.now() < end; round++) {
    // Who runs after whom matters (warm caches, threads still awake), so the order is drawn anew.
    for (const at of shuffled(order)) {
      // The runtime's threads spin for a while after a run, on the cores that the next one needs.
      await sleep(settle);
      const start = performance.now();
      await alternatives[at]?.run();
      times[at]?.push(performance.now() - start);
    }
  }
  return alternatives.map(({ name }, k) => summary(name, times[k] ?? []));
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function summary(name: string, times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  return { name, median: at(0.5), low: at(0.1), high: at(0.9), rounds: sorted.length };
}
