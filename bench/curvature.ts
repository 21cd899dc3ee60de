/** What second derivatives cost beside the plain mean gradient: one thread on one core, in turn, by the processor's time. */
import { perSample, type Wants, want } from "../src/index.js";
import { type Alternative, interleave, type Timing, timedAlone } from "./measure.js";
import { peak } from "./memory.js";
import { plain, wanted } from "./programs.js";
import { titleOf } from "./results.js";
import { makeWorkload, type Workload, type WorkloadSpec } from "./workloads.js";

/** The largest ratio to the mean gradient that is aimed at; null where none was named. */
interface Aim {
  readonly time: number | null;
  /** Of peak memory, of this workload. */
  readonly memory?: { readonly ratio: number; readonly of: string };
}

const productNorms = "norms of Hessian products";
const gaussNewton = "mean GGN product";

const aims: Readonly<Record<string, Aim>> = {
  [plain]: { time: null },
  [productNorms]: { time: 3.5 },
  [gaussNewton]: { time: 2.5, memory: { ratio: 1.5, of: "gpt" } },
};

/** A vector of small numbers for every parameter, the same at every run. */
function vectorFor({ model }: Workload) {
  const entries = Object.entries(model.parameters).map(([name, { dims, data }]) => {
    const numbers = Float32Array.from(data, (_, k) => Math.sin(1 + k));
    return [name, { dtype: "float32" as const, dims, data: numbers }] as const;
  });
  return Object.fromEntries(entries);
}

/** Throws RangeError. */
export function curvatureWants(workload: Workload, name: string): Wants {
  const vector = vectorFor(workload);
  if (name === plain) return wanted[plain];
  if (name === productNorms) return { norms: want.hvp({ vector, give: want.norms() }) };
  if (name === gaussNewton) return { mean: want.ggnProduct({ vector, give: want.mean() }) };
  throw new RangeError(`there is no program ${name}`);
}

async function measured(workload: Workload, seconds: number): Promise<Timing[]> {
  const programs = [];
  const alternatives: Alternative[] = [];
  for (const name of Object.keys(aims)) {
    const { model, loss, data } = workload;
    const program = await perSample(model, { loss, want: curvatureWants(workload, name), threads: 1 });
    programs.push(program);
    alternatives.push(timedAlone(name, () => program.run(data)));
  }
  try {
    return await interleave(alternatives, seconds);
  } finally {
    for (const program of programs) await program.release();
  }
}

/** As a table in Markdown. */
export async function measureCurvature(
  specs: readonly WorkloadSpec[],
  seconds: number,
  told: (line: string) => void,
): Promise<void> {
  told(
    "| workload | program | CPU ms | times the mean gradient | at most | peak memory, MB | times the mean gradient's | at most |",
  );
  told("|---|---|---:|---:|---:|---:|---:|---:|");
  for (const spec of specs) {
    const timings = await measured(makeWorkload(spec), seconds);
    const [first] = timings;
    const peaks = new Map<string, number>();
    for (const { name } of timings) peaks.set(name, await peak(spec.id, name, "needed"));
    for (const { name, cpu } of timings) {
      const { time = null, memory } = aims[name] ?? {};
      const [bytes = Number.NaN, least = Number.NaN] = [peaks.get(name), peaks.get(plain)];
      const cells = [titleOf(spec), name, cpu?.low.toFixed(2), ((cpu?.low ?? 0) / (first?.cpu?.low ?? 0)).toFixed(2)];
      const aimed = memory?.of === spec.id ? memory.ratio : "";
      told(`| ${[...cells, time ?? "", (bytes / 1e6).toFixed(1), (bytes / least).toFixed(2), aimed].join(" | ")} |`);
    }
  }
}
