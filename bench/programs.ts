/** Our own contestants: the programs, the streamed gradients and the loop. */
import { type Program, perSample, type Tensor, type Wants, want } from "../src/index.js";
import { takeSamples } from "../src/tensor/take-samples.js";
import { type Alternative, timed } from "./measure.js";
import type { Workload } from "./workloads.js";

/** The name of the program with which all others are compared. */
export const plain = "mean gradient";

/** The name of the program to which the targets refer. */
export const clippedSum = "norms + clipped sum";

const clipped = want.clippedSum({ maxNorm: 1 });

export const wanted = {
  [plain]: { mean: want.mean() },
  norms: { norms: want.norms() },
  "clipped sum": { clipped },
  [clippedSum]: { norms: want.norms(), clipped },
  "norms + clipped sum + mean": { norms: want.norms(), clipped, mean: want.mean() },
  "all gradients, streamed": { gradients: want.gradients() },
} as const;

export type ProgramName = keyof typeof wanted;

export const programNames = Object.keys(wanted) as readonly ProgramName[];

const streamed: ProgramName = "all gradients, streamed";

type AnyProgram = Program<Wants>;

export function compileProgram({ model, loss }: Workload, name: ProgramName): Promise<AnyProgram> {
  return perSample<Wants>(model, { loss, want: wanted[name] });
}

/** The number of elements in all parameters. */
export function elementsOf({ model }: Workload): number {
  return Object.values(model.parameters).reduce((total, { data }) => total + data.length, 0);
}

/** Runs the whole batch at once, except that the gradients of all samples arrive in chunks. */
export function runnerOf(name: ProgramName, { data }: Workload, program: AnyProgram): () => Promise<void> {
  if (name !== streamed) return async () => void (await program.run(data));
  return async () => {
    for await (const _ of program.stream(data, { inPlace: true }));
  };
}

/** Runs one sample after another. */
export function loopOf({ data, samples }: Workload, program: AnyProgram): () => Promise<void> {
  const own = (tensor: Tensor, n: number) => takeSamples(tensor, 0, n, n + 1);
  return async () => {
    for (let n = 0; n < samples; n++) await program.run({ x: own(data.x, n), target: own(data.target, n) });
  };
}

export interface Ours {
  readonly alternatives: readonly Alternative[];
  /** Milliseconds to trace, plan, emit and load each program. */
  readonly compile: Readonly<Record<string, number>>;
  release(): Promise<void>;
}

/** All our measurements of a workload. The naive loop is the mean-gradient program on one sample after another. */
export async function ours(workload: Workload): Promise<Ours> {
  const compile: Record<string, number> = {};
  const programs: AnyProgram[] = [];
  const alternatives: Alternative[] = [];
  for (const name of programNames) {
    const start = performance.now();
    const program = await compileProgram(workload, name);
    compile[name] = performance.now() - start;
    programs.push(program);
    alternatives.push(timed(name, runnerOf(name, workload, program)));
  }
  // The loop has a session of its own, so that it does not warm up that of the mean gradient.
  const one = await compileProgram(workload, plain);
  alternatives.push(timed("naive loop", loopOf(workload, one)));
  return {
    alternatives,
    compile,
    release: async () => void (await Promise.all([...programs, one].map((program) => program.release()))),
  };
}
