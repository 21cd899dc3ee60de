import { setTimeout as sleep } from "node:timers/promises";

/** Times alternatives in turn, round after round, so that noise on the machine affects all of them alike. */
export interface Alternative {
  readonly name: string;
  /** The time of one run, averaged over `times` runs in a row. */
  run(times: number): Promise<Took>;
}

/** Milliseconds. */
export interface Took {
  readonly wall: number;
  /** CPU time of all threads of the process that ran it, if that process ran nothing else. */
  readonly cpu?: number;
}

/** Milliseconds: the median over all rounds, and the fastest and slowest tenth. */
export interface Timing {
  readonly name: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
  /** The same for CPU time, if it was measured: other work on the machine hardly changes it. */
  readonly cpu?: { readonly median: number; readonly low: number };
}

/** An alternative that runs in this process, timed by the clock. */
export function timed(name: string, once: () => Promise<unknown>): Alternative {
  return {
    name,
    run: async (times) => {
      const start = performance.now();
      for (let k = 0; k < times; k++) await once();
      return { wall: (performance.now() - start) / times };
    },
  };
}

/** The same, with the CPU time of this process, which must run nothing else meanwhile. */
export function timedAlone(name: string, once: () => Promise<unknown>): Alternative {
  const { run } = timed(name, once);
  return {
    name,
    run: async (times) => {
      const before = process.cpuUsage();
      const took = await run(times);
      const { user, system } = process.cpuUsage(before);
      return { ...took, cpu: (user + system) / 1e3 / times };
    },
  };
}

/** Milliseconds of rest before each timed run. */
const settle = 20;

/** Runs shorter than this (in milliseconds) are timed several in a row, to reduce the effect of the clock and of cold caches. */
const shortest = 25;

/**
 * Milliseconds of runs before the timed ones: an engine that compiles JavaScript while it runs needs hundreds of them,
 * and each of our programs has an engine of its own. In runs of more than `long` milliseconds this does not matter.
 */
export const warmUp = 1500;
const long = 200;

/** The share of the time that an alternative may use before it leaves. */
const share = 1 / 8;

/** The least number of rounds for an alternative, and for one whose run takes more than `slow` milliseconds. */
const leastRounds = 3;
const slow = 2000;
const slowRounds = 1;

/** This many rounds, or milliseconds of them, for each alternative, even if slower ones would use up its `seconds`. */
const enoughRounds = 25;
const enoughTime = 3000;

interface Entrant {
  readonly alternative: Alternative;
  readonly repeats: number;
  readonly least: number;
  readonly times: Took[];
  spent: number;
}

/** Runs that are not counted: short ones for `warmUp` milliseconds, else two, or one if it is slow. */
async function warmedUp(alternative: Alternative, seconds: number): Promise<Entrant> {
  const { wall: first } = await alternative.run(1);
  if (first > slow) return { alternative, repeats: 1, least: slowRounds, times: [], spent: 0 };
  let { wall: once } = await alternative.run(1);
  const repeats = () => (once < shortest ? Math.min(500, Math.ceil(shortest / once)) : 1);
  const until = performance.now() + (seconds > 0 && once < long ? warmUp : 0);
  while (performance.now() < until) once = (await alternative.run(repeats())).wall;
  const enough = Math.min(enoughRounds, Math.floor(enoughTime / (once * repeats())));
  return {
    alternative,
    repeats: repeats(),
    least: seconds > 0 ? Math.max(leastRounds, enough) : leastRounds,
    times: [],
    spent: 0,
  };
}

/**
 * Runs every alternative in each round, for about `seconds`, after runs that are not counted. An alternative that has
 * used an eighth of the time leaves, so that slow ones do not cost the others their rounds.
 * @param onRound is called after each round with the share of the time that has passed, 0 to 1
 */
export async function interleave(
  alternatives: readonly Alternative[],
  seconds: number,
  onRound: (part: number) => void = () => {},
): Promise<Timing[]> {
  const entrants: Entrant[] = [];
  for (const alternative of alternatives) entrants.push(await warmedUp(alternative, seconds));
  const start = performance.now();
  const passed = () => (performance.now() - start) / (seconds * 1000);
  for (;;) {
    const stays = ({ times, least, spent }: Entrant) =>
      times.length < least || (passed() < 1 && spent < seconds * 1000 * share);
    const staying = entrants.filter(stays);
    if (staying.length === 0) break;
    // Which alternative runs after which matters (warm caches, threads still awake), so each round has a new random order.
    for (const entrant of shuffled(staying)) {
      // Threads spin for a while after a run, on the cores that the next run needs.
      await sleep(settle);
      const took = await entrant.alternative.run(entrant.repeats);
      entrant.times.push(took);
      entrant.spent += took.wall * entrant.repeats;
    }
    onRound(Math.min(1, passed()));
  }
  return entrants.map(({ alternative, times }) => summary(alternative.name, times));
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function summary(name: string, times: readonly Took[]): Timing {
  const wall = sorted(times.map((took) => took.wall));
  const cpu = sorted(times.flatMap((took) => took.cpu ?? []));
  const own = { name, median: at(wall, 0.5), low: at(wall, 0.1), high: at(wall, 0.9), rounds: wall.length };
  return cpu.length < wall.length ? own : { ...own, cpu: { median: at(cpu, 0.5), low: at(cpu, 0.1) } };
}

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

function at(values: readonly number[], part: number): number {
  return values[Math.min(values.length - 1, Math.floor(part * values.length))] ?? Number.NaN;
}
