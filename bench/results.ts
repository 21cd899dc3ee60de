/** What a benchmark finds out: the content of docs/benchmarks.json, from which the page and the chart are made. */
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
  /** The largest difference from our results, over the largest of ours; none where the results were not compared. */
  readonly difference?: number;
}

export interface Moment {
  /** The day, as 2026-01-31. */
  readonly date: string;
  readonly load: number;
}

export interface Measured {
  readonly id: string;
  readonly name: string;
  /** Where it was measured by itself: when, and the load average just before. */
  readonly at?: Moment;
  readonly samples: number;
  /** Numbers in all parameters. */
  readonly elements: number;
  /** Milliseconds to trace, plan, emit and load each program. */
  readonly compile: Readonly<Record<string, number>>;
  readonly memory: Memory;
  /** Our own programs; where times of the processor are told, on one thread and one core. */
  readonly timings: readonly Timing[];
  /** The same with as many threads as there are cores, ours and peers'. */
  readonly allCores?: readonly Timing[];
  /** Whole steps of training, where they were measured. */
  readonly steps?: StepTimings;
  readonly peers: readonly PeerTiming[];
  /** What peers could not do, and why. */
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
  /** By peer, versions of its packages. */
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

/** What ratios are of: the median of the processor's time where it was measured, else of the clock's. */
export function timeOf({ cpu, median }: Timing): number {
  return cpu?.median ?? median;
}

/** The same of one by its name, or NaN where it was not measured. */
export function medianOf(timings: readonly Timing[], name: string): number {
  const timing = timings.find((each) => each.name === name);
  return timing ? timeOf(timing) : Number.NaN;
}
