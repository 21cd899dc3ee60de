/** The results of a benchmark: the content of docs/benchmarks.json, from which the page and the chart are made. */
import type { LargeResults } from "./large.js";
import type { Timing } from "./measure.js";
import type { Memory } from "./memory.js";
import type { OpTime } from "./profile.js";
import type { RealMeasured } from "./real-models.js";
import type { StepTimings } from "./steps.js";
import type { StreamResults } from "./stream.js";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly node: string;
  readonly onnxruntime: string;
  /** GFLOPS of a 1024x1024x1024 MatMul on ONNX Runtime. */
  readonly matmul: number;
  /** Processes that ran or waited to run in the minute before the measurement: near 0 on a quiet machine. */
  readonly load: number;
}

/** What a peer's alternative computes. */
const peerKinds = ["mean", "clipped", "materialised"] as const;

export type PeerKind = (typeof peerKinds)[number];

/** Throws RangeError. */
export function peerKind(name: string): PeerKind {
  const found = peerKinds.find((kind) => kind === name);
  if (!found) throw new RangeError(`a peer computes ${name}, which the page does not know`);
  return found;
}

export interface PeerTiming extends Timing {
  readonly kind: PeerKind;
  /** The largest difference from our results, over our largest number; absent if the results were not compared. */
  readonly difference?: number;
}

export interface Moment {
  /** The day, as 2026-01-31. */
  readonly date: string;
  readonly load: number;
  /** Earlier measurements lack it: they are of the machine of the whole page. */
  readonly processor?: string;
  /** Milliseconds that contestants with short runs ran uncounted. Earlier measurements lack it: each ran twice. */
  readonly warmUp?: number;
}

export interface Measured {
  readonly id: string;
  readonly name: string;
  /** Present if it was measured separately: the day, and the load average just before. */
  readonly at?: Moment;
  readonly samples: number;
  /** The number of elements in all parameters. */
  readonly elements: number;
  /** Milliseconds to trace, plan, emit and load each program. */
  readonly compile: Readonly<Record<string, number>>;
  readonly memory: Memory;
  /** Our own programs; if CPU times are given, on one thread and one core. */
  readonly timings: readonly Timing[];
  /** The same with as many threads as there are cores, for our programs and the peers'. */
  readonly allCores?: readonly Timing[];
  /** Whole training steps, if they were measured. */
  readonly steps?: StepTimings;
  readonly peers: readonly PeerTiming[];
  /** What peers could not do, with reasons. */
  readonly refused: Readonly<Record<string, string>>;
  /** By program: where its time goes. */
  readonly profiles: Readonly<Record<string, readonly OpTime[]>>;
}

export interface BenchmarkResults {
  /** The day, as 2026-01-31. */
  readonly date: string;
  /** Seconds of interleaved runs for each workload. */
  readonly seconds: number;
  readonly machine: Machine;
  /** Versions of each peer's packages. */
  readonly versions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly workloads: readonly Measured[];
  readonly real: readonly RealMeasured[];
  readonly stream?: StreamResults;
  /** By name. */
  readonly large?: Readonly<Record<string, LargeResults>>;
}

/** "MLP 784-256-10, N=256" */
export function titleOf({ name, samples }: Pick<Measured, "name" | "samples">): string {
  return `${name}, N=${samples}`;
}

/** The basis of ratios: the median CPU time if it was measured, otherwise the median time by the clock. */
export function timeOf({ cpu, median }: Timing): number {
  return cpu?.median ?? median;
}

/** The same for the program with this name, or NaN if it was not measured. */
export function medianOf(timings: readonly Timing[], name: string): number {
  const timing = timings.find((each) => each.name === name);
  return timing ? timeOf(timing) : Number.NaN;
}
