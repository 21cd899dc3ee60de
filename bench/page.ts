/** docs/benchmarks.md, written from the results alone. */

import { largeSection } from "./large.js";
import type { Timing } from "./measure.js";
import type { OpTime } from "./profile.js";
import { clippedSum, plain } from "./programs.js";
import { realModelsSection } from "./real-models.js";
import {
  type BenchmarkResults,
  type Machine,
  type Measured,
  type Moment,
  medianOf,
  type PeerTiming,
  timeOf,
  titleOf,
} from "./results.js";
import type { StreamResults } from "./stream.js";
import { memoryRatio, streamVerdict, targets, twiceAsFast, type Verdict, verdictsOf } from "./targets.js";

const milliseconds = (value: number) =>
  value < 1 ? value.toFixed(3) : value < 10 ? value.toFixed(2) : value.toFixed(1);

const megabytes = (bytes: number | undefined) => (bytes === undefined ? "" : (bytes / 1e6).toFixed(1));

function verdictLine({ what, value, limit, reached, unit }: Verdict): string {
  const amount = `${value.toFixed(unit === "ms" ? 3 : 2)} ${unit}`;
  return `${what}: ${amount} (to reach: ${limit}): ${reached ? "reached" : "**not reached**"}`;
}

const wholeTime = (timing: Timing | undefined) => (timing ? milliseconds(timing.median) : "");

/** CPU time if it was measured. */
const cpuTime = ({ cpu }: Timing) => (cpu ? milliseconds(cpu.median) : "");

function ownRows({ timings, allCores = [], compile, memory }: Measured): string[] {
  const base = medianOf(timings, plain);
  return timings.map((timing) => {
    const { name, median, low, high } = timing;
    const needed = memory.programs.find((program) => program.name === name)?.needed;
    const cells = [
      name,
      cpuTime(timing),
      milliseconds(median),
      `${milliseconds(low)} - ${milliseconds(high)}`,
      (timeOf(timing) / base).toFixed(2),
      wholeTime(allCores.find((each) => each.name === name)),
      compile[name]?.toFixed(0) ?? "",
      megabytes(needed),
    ];
    return `| ${cells.join(" | ")} |`;
  });
}

const kindNames = {
  mean: "mean gradient",
  clipped: "norms + clipped sum",
  materialised: "all gradients",
};

/** Our program that computes the same. */
const counterpart = { mean: plain, clipped: clippedSum, materialised: "all gradients, streamed" };

function peerRow(peer: PeerTiming, { timings, allCores = [] }: Measured): string {
  const { name, kind, median, low, high, difference } = peer;
  const cells = [
    name,
    kindNames[kind],
    cpuTime(peer),
    milliseconds(median),
    `${milliseconds(low)} - ${milliseconds(high)}`,
    (timeOf(peer) / medianOf(timings, counterpart[kind])).toFixed(2),
    wholeTime(allCores.find((each) => each.name === name)),
    difference === undefined ? "" : difference.toExponential(0),
  ];
  return `| ${cells.join(" | ")} |`;
}

function peersTable(measured: Measured): string[] {
  if (measured.peers.length === 0) return [];
  return [
    "| peer | computes | CPU ms | ms, median | 10 % - 90 % | times ours of the same | ms, all cores | difference |",
    "|---|---|---:|---:|---:|---:|---:|---:|",
    ...measured.peers.map((peer) => peerRow(peer, measured)),
    "",
  ];
}

/** Sentences on what some peers cannot do; equal reasons are stated once. */
function refusals({ refused }: Measured): string[] {
  const byReason = new Map<string, string[]>();
  for (const [name, reason] of Object.entries(refused)) byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  const lines = [...byReason].map(([reason, names]) => `- ${names.join("; ")}: ${reason}`);
  return lines.length > 0 ? ["Not measured:", "", ...lines, ""] : [];
}

export interface Difference {
  readonly op: string;
  readonly before: number;
  readonly after: number;
}

/** The ops whose times differ most between two programs, the largest difference first. */
export function largestDifferences(before: readonly OpTime[], after: readonly OpTime[], count = 4): Difference[] {
  const of = (times: readonly OpTime[], op: string) => times.find((time) => time.op === op)?.milliseconds ?? 0;
  const ops = [...new Set([...before, ...after].map(({ op }) => op))];
  return ops
    .map((op) => ({ op, before: of(before, op), after: of(after, op) }))
    .sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before))
    .slice(0, count);
}

function topOps(times: readonly OpTime[]): string {
  const total = times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const shares = times
    .slice(0, 5)
    .map(({ op, milliseconds }) => `${op} ${((100 * milliseconds) / total).toFixed(0)} %`);
  return `${shares.join(", ")}, of ${milliseconds(total)} ms`;
}

/** Where the time goes, and in which ops norms + clipped sum differ from the mean gradient. */
function why({ profiles }: Measured): string[] {
  const [before, after] = [profiles[plain], profiles[clippedSum]];
  if (!before || !after) return [];
  const changes = largestDifferences(before, after).map(
    ({ op, before, after }) =>
      `${op} ${after >= before ? "+" : "-"}${milliseconds(Math.abs(after - before))} ms (${milliseconds(before)} to ${milliseconds(after)})`,
  );
  return [
    "Why, by the runtime's profile of both programs:",
    "",
    `- mean gradient: ${topOps(before)}`,
    `- norms + clipped sum: ${topOps(after)}`,
    `- from the one to the other: ${changes.join(", ")}`,
    "",
  ];
}

function section(measured: Measured, number: number): string[] {
  const { samples, elements, memory } = measured;
  const verdicts = verdictsOf(measured);
  return [
    `## ${number}. ${titleOf(measured)}`,
    "",
    ...(measured.at ? [momentOf(measured.at), ""] : []),
    "| ours | CPU ms | ms, median | 10 % - 90 % | times the mean gradient | ms, all cores | compile, ms | peak memory, MB |",
    "|---|---:|---:|---:|---:|---:|---:|---:|",
    ...ownRows(measured),
    "",
    ...peersTable(measured),
    ...refusals(measured),
    ...verdicts.map((verdict) => `- ${verdictLine(verdict)}`),
    "",
    ...(verdicts.every(({ reached }) => reached) ? [] : why(measured)),
    `Multiplied out, the gradients alone are ${samples} x ${elements.toLocaleString("en-US")} floats, ${megabytes(memory.materialised)} MB. With the runtime's own allocator, peak memory of norms + clipped sum is ${memoryRatio(measured, "arena").toFixed(2)} times the mean gradient's.`,
    "",
  ];
}

function streamSection(stream: StreamResults): string[] {
  const rate = (time: number) => (stream.bytes / 1e6 / time).toFixed(2);
  const rows = stream.ways.map(({ name, median, low }) => `| ${name} | ${rate(median)} | ${rate(low)} |`);
  const runs = stream.runs.map(({ name, median }) => `${name} ${milliseconds(median)} ms`);
  return [
    "## All gradients into JavaScript",
    "",
    `Of ${titleOf(stream)}: ${megabytes(stream.bytes)} MB. \`reuse\` gives a chunk's memory back when the next is asked for; otherwise each array is new, and the system clears its pages first.`,
    "",
    "| how | GB/s, median | best tenth |",
    "|---|---:|---:|",
    ...rows,
    "",
    `- ${verdictLine(streamVerdict(stream))}`,
    `- a run: ${runs.join("; ")}`,
    "",
  ];
}

/** Every target, with the number of workloads that reach it and the names of those that do not. */
function summary(results: BenchmarkResults): string[] {
  const verdicts = results.workloads.map((measured, k) => ({ number: k + 1, found: verdictsOf(measured) }));
  const kinds: readonly [starts: string, text: string][] = [
    [
      "time of norms + clipped sum, beside the mean gradient",
      `norms + clipped sum in at most ${targets.clippedTime("")} times the mean gradient's time (ResNet: ${targets.clippedTime("resnet18")})`,
    ],
    ["peak memory", `norms + clipped sum in at most ${targets.clippedMemory} times its peak memory`],
    ["time of norms + clipped sum, beside the fastest", "norms + clipped sum faster than the fastest peer's"],
    ["time of the mean gradient, beside PyTorch", "mean gradient no slower than PyTorch's"],
    [
      "a step of private training",
      `a step of private training, noise and optimizer included, in at most ${targets.privateStep.limit} times the ordinary step's time`,
    ],
    ["a whole step", `a whole step of the tiny network in at most ${targets.tinyStep} ms`],
  ];
  const rows = kinds.flatMap(([starts, text]) => {
    const of = verdicts.flatMap(({ number, found }) =>
      found.filter(({ what }) => what.startsWith(starts)).map(({ reached }) => ({ number, reached })),
    );
    if (of.length === 0) return [];
    const missed = of.filter(({ reached }) => !reached).map(({ number }) => number);
    return [`| ${text} | ${of.length - missed.length} of ${of.length} | ${missed.join(", ")} |`];
  });
  const { stream } = results;
  if (stream) {
    const { limit, reached } = streamVerdict(stream);
    rows.push(`| gradients into JavaScript at ${limit} GB/s or more | ${reached ? 1 : 0} of 1 |  |`);
  }
  const twice = twiceAsFast(results);
  const beside =
    twice.of > 0
      ? [
          `| norms + clipped sum at least twice as fast as the fastest peer's, on ${targets.peers.least} workloads | ${twice.count} of ${twice.of} | ${twice.count >= targets.peers.least ? "" : "target not reached"} |`,
        ]
      : [];
  return ["| to reach | reached on | not on |", "|---|---|---|", ...rows, ...beside];
}

/** From this load average on, the machine was not ours alone. */
const busy = 1.5;

const method =
  "Alternatives run in turn, ours and the peers', in an order drawn anew each round, with a rest between; runs of less than 25 ms are timed several in a row, and those of more than 2 s once. Before, each runs uncounted, twice or for the time that stands at the workload. What counts is the ratio to what ran beside it. Where *CPU ms* are told, each contestant is a process of its own with one thread, all on the same core, and ratios are of the processor's time (the median; the clock's stands beside): other work on the machine hardly changes it, while times of several threads vary with it severalfold. *All cores*: the clock's median with as many threads as there are cores. The naive loop is our own mean-gradient program run on one sample after another; streamed gradients are handed over in chunks of about 4 MiB (`program.stream`). Peak memory is that of three runs in a process of its own, above what the process held before them (the loaded program, parameters and data), with every tensor allocated and freed for itself.";

const peerMethod =
  "Peers run in processes of their own and are timed by their own clocks, with the same weights, data, batch and number of threads, in float32, until their results are there. Norms, clipped sums and mean gradients of each were compared with ours before (column *difference*: the largest, over the largest number); one that differs by more than 0.001 takes no part.";

function versionsLine({ versions }: BenchmarkResults): string[] {
  const all = Object.values(versions).flatMap((packages) => Object.entries(packages));
  if (all.length === 0) return ["Measured without peers.", ""];
  return [peerMethod, "", `Peers: ${all.map(([name, version]) => `${name} ${version}`).join(", ")}.`, ""];
}

function momentOf({ date, load, processor, warmUp }: Moment): string {
  const rough = load > busy ? " (other work was running: times are rough, also beside each other)" : "";
  const where = processor === undefined ? "" : ` on another machine (${processor})`;
  const before = warmUp === undefined ? "" : `; runs of less than 200 ms after ${warmUp / 1000} s of uncounted ones`;
  return `Measured on ${date}${where}${before}; load average just before: ${load.toFixed(1)}${rough}.`;
}

/** The same, which names its processor only if that is not the page's. */
function onAnother(measured: Measured, { processor: usual }: Machine): Measured {
  if (!measured.at || measured.at.processor !== usual) return measured;
  const { processor: _, ...at } = measured.at;
  return { ...measured, at };
}

/** The page, in Markdown. */
export function page(results: BenchmarkResults): string {
  const { machine, date, workloads, real, stream, large = {} } = results;
  return [
    "# Benchmark",
    "",
    `Generated from \`benchmarks.json\` by \`npm run bench\`; do not edit. ${method}`,
    "",
    ...versionsLine(results),
    `Machine: ${machine.processor}, ${machine.cores} cores, Node ${machine.node}, ONNX Runtime ${machine.onnxruntime}, its MatMul ${machine.matmul.toFixed(0)} GFLOPS. ${momentOf({ date, load: machine.load })}`,
    "",
    ...(workloads.length > 0
      ? ["![Milliseconds by workload, ours and the peers'](benchmarks.svg)", "", ...summary(results), ""]
      : []),
    ...workloads.flatMap((measured, k) => section(onAnother(measured, machine), k + 1)),
    ...(stream ? streamSection(stream) : []),
    ...(real.length > 0 ? [realModelsSection(real)] : []),
    ...Object.values(large).map(largeSection),
  ]
    .join("\n")
    .trimEnd();
}
