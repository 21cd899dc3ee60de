/** The programs that are compared. */
import { type Program, perSample, type Want, want } from "../src/index.js";
import type { Workload } from "./workloads.js";

/** The name of the program that all others are compared with. */
export const plain = "mean gradient";

const clipped = want.clippedSum({ maxNorm: 1 });

export const wanted = {
  [plain]: { mean: want.mean() },
  norms: { norms: want.norms() },
  "norms + clipped sum": { norms: want.norms(), clipped },
  "norms + clipped sum + mean": { norms: want.norms(), clipped, mean: want.mean() },
  "all gradients": { gradients: want.gradients() },
};

export type ProgramName = keyof typeof wanted;

export const programNames = Object.keys(wanted) as readonly ProgramName[];

export function compileProgram(
  { model, loss }: Workload,
  name: ProgramName,
): Promise<Program<Readonly<Record<string, Want<unknown>>>>> {
  return perSample<Readonly<Record<string, Want<unknown>>>>(model, { loss, want: wanted[name] });
}
