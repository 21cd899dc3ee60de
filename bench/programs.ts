/** What is computed in each workload, by name. */
import { perSample, want } from "../src/index.js";
import type { Wants } from "../src/plan/want.js";
import type { Workload } from "./workloads.js";

/** The name of the alternative that all others are compared with. */
export const plain = "mean gradient";

const clipped = want.clippedSum({ maxNorm: 1 });

const wanted: Readonly<Record<string, Wants>> = {
  [plain]: { mean: want.mean() },
  norms: { norms: want.norms() },
  "norms + clipped sum": { norms: want.norms(), clipped },
  "norms + clipped sum + mean": { norms: want.norms(), clipped, mean: want.mean() },
  "all gradients": { gradients: want.gradients() },
};

export const programNames = Object.keys(wanted);

export function compileProgram(name: string, { model, loss }: Workload) {
  return perSample(model, { loss, want: wanted[name] ?? {} });
}
