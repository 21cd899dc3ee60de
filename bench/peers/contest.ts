/** The peers' side of one workload: a process for each peer, what it offers, and which of this does the same work as ours. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTensors, writeTensors } from "../../src/io/files.js";
import type { Alternative } from "../measure.js";
import type { Workload } from "../workloads.js";
import { allowedDifference, differenceOf, type Reference, referenceOf } from "./compare.js";
import { onOneCore } from "./one-core.js";
import { type Command, PeerFailure, PeerProcess } from "./process.js";

/** Seconds for starting, loading or compiling, and for one run: a peer that needs more is left out, so the rest ends in time. */
const readyLimit = 60;
const runLimit = 15;

export interface PeerAlternative extends Alternative {
  /** What it computes: the name of the reference with which it is compared, if there is one. */
  readonly kind: string;
  readonly difference?: number;
}

export interface Contest {
  readonly alternatives: readonly PeerAlternative[];
  /** Alternatives that are left out, with reasons; those that fail in a later run (their time is then NaN) are added. */
  readonly refused: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  stop(): void;
}

export interface ContestOptions {
  /** Threads of each peer; by default as many as there are cores. */
  readonly threads?: number;
  /** Gives each peer one thread, on the core on which all contestants take turns. Default: false. */
  readonly pinned?: boolean;
  /** Names of the alternatives that take part. Default: all. */
  readonly only?: readonly string[];
  /** Our own results, with which the peers' are compared. Default: those of gradients. */
  readonly reference?: Reference;
  readonly readyLimit?: number;
  readonly runLimit?: number;
}

/** Gives each peer the workload's weights and data, and has it prepare and verify what it offers. */
export async function startContest(
  workload: Workload,
  peers: ReadonlyMap<string, Command>,
  { threads, pinned = false, only, ...given }: ContestOptions = {},
): Promise<Contest> {
  const limits = { ready: given.readyLimit ?? readyLimit, run: given.runLimit ?? runLimit };
  const folder = mkdtempSync(join(tmpdir(), "pergrad-bench-"));
  const processes: PeerProcess[] = [];
  const alternatives: PeerAlternative[] = [];
  const refused: Record<string, string> = {};
  const versions: Record<string, Readonly<Record<string, string>>> = {};
  try {
    const file = join(folder, "workload.safetensors");
    const weights = Object.entries(workload.model.parameters).map(([name, tensor]) => [`parameters/${name}`, tensor]);
    await writeTensors(file, { ...Object.fromEntries(weights), ...workload.data });
    const reference = given.reference ?? (await referenceOf(workload));
    for (const [peer, command] of peers) {
      try {
        const { process, greeting } = await (pinned
          ? PeerProcess.start(onOneCore(command), 1, limits.ready)
          : PeerProcess.start(command, threads, limits.ready));
        processes.push(process);
        versions[peer] = greeting.versions;
        const order = Object.keys(workload.model.parameters);
        const offer = await process.ask({ do: "prepare", workload: workload.id, file, order }, limits.ready);
        for (const [name, kind] of Object.entries(offer.alternatives as Record<string, string>)) {
          if (only && !only.includes(name)) continue;
          const tried = await tryOut(process, name, kind, reference, join(folder, "check.safetensors"), limits);
          if (typeof tried === "string") refused[name] = tried;
          else alternatives.push(failing(tried, refused));
        }
      } catch (error) {
        refused[peer] = reasonOf(error);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const stop = () => {
    for (const process of processes) process.stop();
  };
  return { alternatives, refused, versions, stop };
}

/** Keeps a peer that breaks down from ending the benchmark. */
function failing(alternative: PeerAlternative, refused: Record<string, string>): PeerAlternative {
  const run = async (times: number) => {
    try {
      return await alternative.run(times);
    } catch (error) {
      refused[alternative.name] = reasonOf(error);
      return { wall: Number.NaN };
    }
  };
  return { ...alternative, run };
}

/** The alternative, ready to run, or the reason why it is left out. */
async function tryOut(
  process: PeerProcess,
  name: string,
  kind: string,
  reference: Reference,
  file: string,
  limits: { readonly ready: number; readonly run: number },
): Promise<PeerAlternative | string> {
  try {
    await process.ask({ do: "make", name }, limits.ready);
    const run = (times: number) => process.time(name, times, limits.run);
    const ours = reference[kind];
    if (!ours) return { name, kind, run };
    await process.ask({ do: "check", name, file }, limits.run);
    const theirs = [...(await readTensors(file))].map(([key, { data }]) => [key, data as ArrayLike<number>] as const);
    const difference = differenceOf(ours, new Map(theirs));
    if (!(difference <= allowedDifference))
      return `its results are not ours: they differ by ${difference.toPrecision(2)} of the largest`;
    return { name, kind, run, difference };
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof PeerFailure) return error.message;
  throw error;
}
