/** Measures where a program's time goes, with ONNX Runtime's own profiler. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileProgram, type ProgramName } from "./programs.js";
import { sessionsWith } from "./sessions.js";
import type { Workload } from "./workloads.js";

/** The time of all nodes of one op, in one run. Nodes in the body of a loop count once per step. */
export interface OpTime {
  readonly op: string;
  readonly milliseconds: number;
  readonly nodes: number;
}

/** An event of the profiler's trace; times in microseconds. */
export interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Profiled runs, after one that is not counted: at least this many, and more while they are short. */
const least = 5;
const most = 100;
const seconds = 0.5;

export async function profile(workload: Workload, name: ProgramName): Promise<OpTime[]> {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-profile-"));
  try {
    const options = { enableProfiling: true, profileFilePrefix: join(folder, "trace") };
    const { result: program, sessions } = await sessionsWith(options, () => compileProgram(workload, name));
    await program.run(workload.data);
    const end = performance.now() + seconds * 1000;
    for (let run = 0; run < least || (run < most && performance.now() < end); run++) await program.run(workload.data);
    for (const session of sessions) session.endProfiling();
    await program.release();
    const traces = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")));
    return opTimes(traces.flat() as TraceEvent[]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Median times by op over all runs except the first, the longest first. */
export function opTimes(trace: readonly TraceEvent[]): OpTime[] {
  const begun = trace.filter(({ cat, name }) => cat === "Session" && name === "model_run").map(({ ts }) => ts);
  begun.sort((a, b) => a - b);
  const kernels = trace.filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"));
  const runs = begun.slice(1).map((from, k) => {
    const until = begun[k + 2] ?? Number.POSITIVE_INFINITY;
    return totals(kernels.filter(({ ts }) => ts >= from && ts < until));
  });
  const ops = [...new Set(runs.flatMap((run) => [...run.keys()]))];
  const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return ops
    .map((op) => ({
      op,
      milliseconds: middle(runs.map((run) => run.get(op)?.microseconds ?? 0)) / 1000,
      nodes: middle(runs.map((run) => run.get(op)?.nodes ?? 0)),
    }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

/** Times by op in one run. */
function totals(kernels: readonly TraceEvent[]): Map<string, { microseconds: number; nodes: number }> {
  const total = new Map<string, { microseconds: number; nodes: number }>();
  for (const { op, microseconds } of ownTimes(kernels)) {
    const sum = total.get(op) ?? { microseconds: 0, nodes: 0 };
    total.set(op, { microseconds: sum.microseconds + microseconds, nodes: sum.nodes + 1 });
  }
  return total;
}

/** A loop's time includes that of the nodes in its body, which have events of their own, so that part is subtracted. */
function ownTimes(kernels: readonly TraceEvent[]): { op: string; microseconds: number }[] {
  const open: { end: number; own: { op: string; microseconds: number } }[] = [];
  const sorted = [...kernels].sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  return sorted.map(({ ts, dur, args }) => {
    while (open.length > 0 && (open.at(-1)?.end ?? 0) < ts + dur) open.pop();
    const around = open.at(-1);
    if (around) around.own.microseconds -= dur;
    const own = { op: args?.op_name ?? "unknown", microseconds: dur };
    open.push({ end: ts + dur, own });
    return own;
  });
}
