/** The benchmark's targets, and whether they are reached. */
import { clippedSum, plain } from "./programs.js";
import { type BenchmarkResults, type Measured, medianOf, type PeerTiming, timeOf } from "./results.js";
import { fastestWay, type StreamResults } from "./stream.js";

export const targets = {
  /** Time of norms + clipped sum, relative to the plain mean gradient; the residual network has a limit of its own. */
  clippedTime: (id: string) => (id === "resnet18" ? 1.3 : 1.15),
  /** Peak memory of the same program. */
  clippedMemory: 1.2,
  /** Time of norms + clipped sum, relative to the fastest peer's clipped sum: on all workloads, and on at least this many. */
  peers: { all: 1, half: 0.5, least: 6 },
  /** Time of our mean gradient, relative to PyTorch's. */
  mean: 1,
  /** Time of a private training step, noise and optimizer included, relative to the ordinary step. */
  privateStep: { limit: 1.3, on: ["mnist-cnn", "lstm"] as readonly string[] },
  /** Milliseconds for a whole step of the tiny workload, which is almost entirely overhead. */
  tinyStep: 0.15,
  /** GB of gradients per second that arrive in JavaScript. */
  streamRate: 5,
} as const;

export interface Verdict {
  /** The programs that are compared. */
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly reached: boolean;
  readonly unit: "times" | "ms" | "GB/s";
}

function verdict(what: string, value: number, limit: number, unit: Verdict["unit"] = "times"): Verdict {
  return { what, value, limit, reached: value <= limit, unit };
}

/** The fastest program of one kind. */
export function fastest(measured: Measured, kind: PeerTiming["kind"]): PeerTiming | undefined {
  return measured.peers.filter((peer) => peer.kind === kind).sort((a, b) => timeOf(a) - timeOf(b))[0];
}

/** Time of norms + clipped sum over the fastest peer's clipped sum. */
function besidePeers(measured: Measured): number | undefined {
  const peer = fastest(measured, "clipped");
  return peer && medianOf(measured.timings, clippedSum) / timeOf(peer);
}

function neededBy({ memory }: Measured, name: string, of: "needed" | "arena" = "needed"): number {
  return memory.programs.find((program) => program.name === name)?.[of] ?? Number.NaN;
}

export function memoryRatio(measured: Measured, of: "needed" | "arena"): number {
  return neededBy(measured, clippedSum, of) / neededBy(measured, plain, of);
}

/** Below this many bytes, peaks of memory, which are measured in pages, mean nothing. */
const resolvedMemory = 1e6;

/** One workload's targets. Those beside peers apply only if the peer took part, that of memory only if it is measurable. */
export function verdictsOf(measured: Measured): Verdict[] {
  const { id, timings, peers, steps } = measured;
  const [mean, clipped] = [medianOf(timings, plain), medianOf(timings, clippedSum)];
  const found = [
    verdict("time of norms + clipped sum, beside the mean gradient", clipped / mean, targets.clippedTime(id)),
  ];
  const memory = "peak memory of norms + clipped sum, beside the mean gradient";
  if (neededBy(measured, plain) >= resolvedMemory)
    found.push(verdict(memory, memoryRatio(measured, "needed"), targets.clippedMemory));
  const ratio = besidePeers(measured);
  const rival = fastest(measured, "clipped");
  if (ratio !== undefined && rival)
    found.push(
      verdict(`time of norms + clipped sum, beside the fastest peer's (${rival.name})`, ratio, targets.peers.all),
    );
  const torch = peers.find(({ name }) => name === "PyTorch mean gradient");
  if (torch) found.push(verdict("time of the mean gradient, beside PyTorch's", mean / timeOf(torch), targets.mean));
  if (steps) {
    const ratio = steps.private.median / steps.plain.median;
    found.push(verdict("a step of private training, beside the ordinary step", ratio, targets.privateStep.limit));
  }
  if (id === "tiny") found.push(verdict("a whole step of norms + clipped sum", clipped, targets.tinyStep, "ms"));
  return found;
}

/** On how many workloads norms + clipped sum are at least twice as fast as any peer; absent if no peer took part. */
export function twiceAsFast({ workloads }: BenchmarkResults): { readonly count: number; readonly of: number } {
  const ratios = workloads.map(besidePeers).filter((ratio) => ratio !== undefined);
  return { count: ratios.filter((ratio) => ratio <= targets.peers.half).length, of: ratios.length };
}

/** The median rate of the way by which gradients arrive fastest: at least the limit. */
export function streamVerdict({ bytes, ways }: StreamResults): Verdict {
  const [value, limit] = [bytes / 1e6 / medianOf(ways, fastestWay), targets.streamRate];
  return { what: fastestWay, value, limit, reached: value >= limit, unit: "GB/s" };
}
