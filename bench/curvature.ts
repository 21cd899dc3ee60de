/** Costs of second derivatives beside the plain mean gradient, and beside peers: one thread on one core, by CPU time. */
import { perSample, type Wants, want } from "../src/index.js";
import { type Alternative, interleave, type Timing, timedAlone } from "./measure.js";
import { peak } from "./memory.js";
import type { BenchOptions } from "./options.js";
import { byPlace, type Reference } from "./peers/compare.js";
import { type Contest, startContest } from "./peers/contest.js";
import { curvaturePeers } from "./peers/installed.js";
import { plain, wanted } from "./programs.js";
import { titleOf } from "./results.js";
import { makeWorkload, type Workload, type WorkloadSpec } from "./workloads.js";

/** The target for the ratio to the mean gradient, at most; null if there is no target. */
interface Aim {
  readonly time: number | null;
  /** The target for peak memory, of this workload. */
  readonly memory?: { readonly ratio: number; readonly of: string };
}

const productNorms = "norms of Hessian products";
const gaussNewton = "mean GGN product";
const diagonal = "GGN diagonal of each sample";
const meanDiagonal = "mean GGN diagonal";

const aims: Readonly<Record<string, Aim>> = {
  [plain]: { time: null },
  [productNorms]: { time: 3.5 },
  [gaussNewton]: { time: 2.5, memory: { ratio: 1.5, of: "gpt" } },
  [diagonal]: { time: null },
  [meanDiagonal]: { time: null },
};

/** Diagonals take a backward pass for each element of the output, so models with more elements than this are left out. */
const mostOutputs = 100;

/** Our programs beside which a peer's kind is measured. */
const counterparts: Readonly<Record<string, string>> = {
  mean: plain,
  ggnProduct: gaussNewton,
  ggnDiagonal: meanDiagonal,
};

/** A vector of small numbers for every parameter; peers make the same one. */
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
  if (name === diagonal) return { diagonal: want.ggnDiagonal() };
  if (name === meanDiagonal) return { diagonal: want.ggnDiagonal({ mean: true }) };
  throw new RangeError(`there is no program ${name}`);
}

/** Our own results for what peers compute. */
async function referenceOf(workload: Workload, names: readonly string[]): Promise<Reference> {
  const { model, loss, data } = workload;
  const wants = {
    mean: want.mean(),
    ggnProduct: want.ggnProduct({ vector: vectorFor(workload), give: want.mean() }),
    ...(names.includes(meanDiagonal) ? { ggnDiagonal: want.ggnDiagonal({ mean: true }) } : {}),
  };
  const program = await perSample(model, { loss, want: wants, threads: 1 });
  const { mean, ggnProduct, ggnDiagonal } = await program.run(data);
  await program.release();
  const known = { mean: byPlace(model, mean), ggnProduct: byPlace(model, ggnProduct) };
  return ggnDiagonal ? { ...known, ggnDiagonal: byPlace(model, ggnDiagonal) } : known;
}

interface Measured {
  readonly ours: readonly Timing[];
  readonly theirs: readonly (Timing & { readonly kind: string; readonly difference?: number })[];
  readonly refused: Contest["refused"];
}

async function measured(workload: Workload, names: readonly string[], options: BenchOptions): Promise<Measured> {
  const peers = options.peers === null ? new Map() : curvaturePeers(options.peers);
  const reference = peers.size > 0 ? await referenceOf(workload, names) : {};
  const contest = await startContest(workload, peers, { pinned: true, reference, runLimit: 60 });
  const programs = [];
  const alternatives: Alternative[] = [];
  try {
    for (const name of names) {
      const { model, loss, data } = workload;
      const program = await perSample(model, { loss, want: curvatureWants(workload, name), threads: 1 });
      programs.push(program);
      alternatives.push(timedAlone(name, () => program.run(data)));
    }
    const all = await interleave([...alternatives, ...contest.alternatives], options.seconds);
    const theirs = contest.alternatives.flatMap(({ name, kind, difference }, k) => {
      const timing = all[names.length + k];
      if (!timing || Object.hasOwn(contest.refused, name)) return [];
      return [{ ...timing, kind, ...(difference === undefined ? {} : { difference }) }];
    });
    return { ours: all.slice(0, names.length), theirs, refused: contest.refused };
  } finally {
    contest.stop();
    for (const program of programs) await program.release();
  }
}

/** The results as tables in Markdown. */
export async function measureCurvature(options: BenchOptions, told: (line: string) => void): Promise<void> {
  for (const spec of options.workloads) {
    const elements = spec.classes * (spec.labels ?? []).reduce((product, size) => product * size, 1);
    const names = Object.keys(aims).filter(
      (name) => ![diagonal, meanDiagonal].includes(name) || elements <= mostOutputs,
    );
    const found = await measured(makeWorkload(spec), names, options);
    await tellOurs(spec, found.ours, told);
    if (options.peers !== null) tellTheirs(found, told);
  }
}

async function tellOurs(spec: WorkloadSpec, timings: readonly Timing[], told: (line: string) => void): Promise<void> {
  told(`\n${titleOf(spec)}\n`);
  told("| ours | CPU ms | times the mean gradient | at most | peak memory, MB | times the mean gradient's | at most |");
  told("|---|---:|---:|---:|---:|---:|---:|");
  const least = await peak(spec.id, plain, "needed");
  for (const { name, cpu } of timings) {
    const { time = null, memory } = aims[name] ?? {};
    const bytes = name === plain ? least : await peak(spec.id, name, "needed");
    const ratio = ((cpu?.low ?? 0) / (timings[0]?.cpu?.low ?? 0)).toFixed(2);
    const aimed = memory?.of === spec.id ? memory.ratio : "";
    const cells = [name, cpu?.low.toFixed(2), ratio, time ?? "", (bytes / 1e6).toFixed(1), (bytes / least).toFixed(2)];
    told(`| ${[...cells, aimed].join(" | ")} |`);
  }
}

function tellTheirs({ ours, theirs, refused }: Measured, told: (line: string) => void): void {
  told("\n| peer | computes | CPU ms | ours / theirs | difference |\n|---|---|---:|---:|---:|");
  for (const { name, kind, cpu, difference } of theirs) {
    const same = ours.find((own) => own.name === counterparts[kind]);
    const ratio = (same?.cpu?.low ?? Number.NaN) / (cpu?.low ?? Number.NaN);
    const cells = [
      name,
      counterparts[kind] ?? kind,
      cpu?.low.toFixed(2),
      ratio.toFixed(2),
      difference?.toExponential(0),
    ];
    told(`| ${cells.join(" | ")} |`);
  }
  for (const [name, why] of Object.entries(refused)) told(`\n${name} takes no part: ${why}`);
}
