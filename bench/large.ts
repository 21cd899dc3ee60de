/** The benchmark's section on large models: time on one thread beside PyTorch and Opacus, and a process's peak memory. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Program, perSample, type Wants, want } from "../src/index.js";
import { type Gpt2Name, gpt2 } from "./gpt2.js";
import { interleave, type Timing, timedAlone } from "./measure.js";
import { startContest } from "./peers/contest.js";
import type { Command } from "./peers/process.js";
import { type PeerTiming, peerKind } from "./results.js";

/** Programs of a large model, by name. */
export const largeWants = {
  "mean gradient": () => ({ mean: want.mean() }),
  norms: () => ({ norms: want.norms() }),
  "norms + clipped sum": () => ({ norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) }),
} as const satisfies Record<string, () => Wants>;

export type LargeProgram = keyof typeof largeWants;

/** The request to large-process.ts: one program of one model. */
export interface LargeRequest {
  readonly model: Gpt2Name;
  readonly program: LargeProgram;
  readonly samples: number;
  /** Tokens per text. */
  readonly positions: number;
  /** Bytes: see `memoryBudget`. */
  readonly budget?: number;
}

/** Milliseconds and bytes. `peak` is the highest memory use of the whole process. */
export interface LargeMeasured extends LargeRequest {
  readonly weights: number;
  readonly initialise: number;
  readonly compile: number;
  readonly run: number;
  readonly peak: number;
}

export interface LargeResults {
  readonly memory: readonly LargeMeasured[];
  /** For 4 texts of 128 tokens on one thread; absent if the model is too large to be held twice. */
  readonly timings: readonly Timing[];
  readonly peers: readonly PeerTiming[];
  readonly refused: Readonly<Record<string, string>>;
}

/** The programs whose memory is measured, for each model. */
const asked: Readonly<Record<Gpt2Name, readonly LargeRequest[]>> = {
  gpt2: [
    { model: "gpt2", program: "norms", samples: 2, positions: 128 },
    { model: "gpt2", program: "norms", samples: 2, positions: 128, budget: 1.7e8 },
    { model: "gpt2", program: "norms + clipped sum", samples: 2, positions: 128 },
  ],
  "gpt2-xl": [
    { model: "gpt2-xl", program: "norms", samples: 2, positions: 64 },
    { model: "gpt2-xl", program: "norms + clipped sum", samples: 2, positions: 64 },
  ],
};

async function inItsOwnProcess(own: LargeRequest): Promise<LargeMeasured> {
  const file = fileURLToPath(new URL("large-process.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", file, JSON.stringify(own)]);
  return JSON.parse(stdout) as LargeMeasured;
}

/** Peers that do the same work without materialising gradients. */
const rivals = ["PyTorch mean gradient", "Opacus ghost, clipped"];

async function measureTime(peers: ReadonlyMap<string, Command>, seconds: number) {
  const workload = gpt2("gpt2", 4, 128);
  const { model, loss, data } = workload;
  const contest = await startContest(workload, peers, { threads: 1, only: rivals, readyLimit: 600, runLimit: 300 });
  const programs: Program<Wants>[] = [];
  try {
    for (const wants of Object.values(largeWants))
      programs.push(await perSample<Wants>(model, { loss, threads: 1, want: wants() }));
    const own = Object.keys(largeWants).map((name, k) =>
      timedAlone(name, () => (programs[k] as Program<Wants>).run(data)),
    );
    const all = await interleave([...own, ...contest.alternatives], seconds);
    const peerTimings = contest.alternatives.map(({ kind, difference }, k): PeerTiming => {
      const timing = all[own.length + k] as Timing;
      return { ...timing, kind: peerKind(kind), ...(difference === undefined ? {} : { difference }) };
    });
    return { timings: all.slice(0, own.length), peers: peerTimings, refused: contest.refused };
  } finally {
    contest.stop();
    for (const program of programs) await program.release();
  }
}

export async function measureLarge(
  name: Gpt2Name,
  peers: ReadonlyMap<string, Command>,
  seconds: number,
): Promise<LargeResults> {
  const memory: LargeMeasured[] = [];
  for (const own of asked[name]) {
    process.stderr.write(`${own.model}: ${own.program} of ${own.samples} texts of ${own.positions} tokens ...\n`);
    memory.push(await inItsOwnProcess(own));
  }
  const time = name === "gpt2" ? await measureTime(peers, seconds) : { timings: [], peers: [], refused: {} };
  return { memory, ...time };
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
const seconds = (milliseconds: number) => (milliseconds / 1e3).toFixed(1);

function memoryRow({ model, program, samples, positions, budget, ...own }: LargeMeasured): string {
  const cells = [
    model,
    program,
    `${samples} x ${positions}`,
    budget === undefined ? "" : megabytes(budget),
    megabytes(own.weights),
    megabytes(own.peak),
    (own.peak / own.weights).toFixed(2),
    seconds(own.initialise),
    seconds(own.compile),
    seconds(own.run),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** The section, in Markdown. */
export function largeSection({ memory, timings, peers, refused }: LargeResults): string {
  const times = [...timings, ...peers].map(({ name, median, low, high, cpu }) => {
    const own = cpu ? seconds(cpu.median) : "";
    return `| ${name} | ${own} | ${seconds(median)} | ${seconds(low)} to ${seconds(high)} |`;
  });
  const absent = Object.entries(refused).map(([name, reason]) => `${name} took no part: ${reason}.`);
  return [
    "## Large models",
    "",
    "Memory is the peak of a process that does nothing else (VmHWM where the system tells), Node and the runtime included.",
    "",
    "| model | program | texts x tokens | budget, MB | weights, MB | peak, MB | times the weights | initialise, s | compile, s | run, s |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ...memory.map(memoryRow),
    ...(times.length === 0
      ? []
      : [
          "",
          "GPT-2 small, 4 texts of 128 tokens, one thread:",
          "",
          "| | processor, s | clock, s | fastest to slowest tenth |",
          "|---|---:|---:|---:|",
          ...times,
        ]),
    ...absent,
  ].join("\n");
}
