/**
 * Estimates what 100 million samples and a model of 7 billion parameters take, from measured rates and a simulation of a
 * job on workers that die: the tables of docs/scale.md. `npm run docs:scale` writes them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { random } from "../src/tensor/random.js";
import { between } from "./marked.js";

/** A job: row groups that workers compute one after another. */
export interface SimulatedJob {
  readonly parts: number;
  /** Mean seconds of a worker for a part. */
  readonly secondsPerPart: number;
  /** Standard deviation of the time of a part, relative to its mean: shards differ, and so do machines. */
  readonly spread: number;
  readonly workers: number;
  /** Mean hours between two deaths of one worker; infinite if none dies. */
  readonly hoursBetweenDeaths: number;
  /** Seconds until another worker has replaced a dead one and has loaded the program. */
  readonly restart: number;
}

export interface Simulated {
  readonly hours: number;
  /** The number of workers' deaths. */
  readonly deaths: number;
  /** Work that was started and lost, relative to the work that was needed. */
  readonly lost: number;
  /** The share of the workers' time in which they waited for the last workers. */
  readonly idle: number;
}

/** Each worker takes the next part when it is free; a part whose worker dies goes to the end of the queue. */
export function simulate(job: SimulatedJob, seed = 1): Simulated {
  const draw = random(seed);
  const free = new Float64Array(job.workers);
  const times = Array.from(
    { length: job.parts },
    () => job.secondsPerPart * Math.max(0.1, 1 + job.spread * draw.normal()),
  );
  const queue = times.map((_, k) => k);
  const rate = 1 / (job.hoursBetweenDeaths * 3600);
  let [deaths, lost, needed, end] = [0, 0, 0, 0];
  for (let next = 0; next < queue.length; next++) {
    const worker = earliest(free);
    const begun = free[worker] ?? 0;
    const part = queue[next] ?? 0;
    const seconds = times[part] ?? 0;
    const death = rate === 0 ? Number.POSITIVE_INFINITY : -Math.log(1 - draw.uniform(0, 1)) / rate;
    if (death < seconds) {
      deaths++;
      lost += death;
      free[worker] = begun + death + job.restart;
      queue.push(part);
    } else {
      needed += seconds;
      free[worker] = begun + seconds;
      end = Math.max(end, begun + seconds);
    }
  }
  return { hours: end / 3600, deaths, lost: lost / needed, idle: 1 - (needed + lost) / (end * job.workers) };
}

function earliest(free: Float64Array): number {
  let best = 0;
  for (let k = 1; k < free.length; k++) if ((free[k] ?? 0) < (free[best] ?? 0)) best = k;
  return best;
}

const samples = 1e8;
const samplesPerPart = 50_000;

/** Models of the benchmark, with the number of bytes per sample. */
const models = [
  { id: "mlp", what: "MLP 784-256-10", bytes: 784 },
  { id: "cifar-cnn", what: "CIFAR CNN 32-64-64-128", bytes: 3072 },
  { id: "resnet18", what: "ResNet-18, 32x32", bytes: 3072 },
  { id: "gpt", what: "GPT-like, 4 layers, 128 tokens", bytes: 1024 },
] as const;

interface Workload {
  readonly id: string;
  readonly samples: number;
  readonly elements: number;
  readonly timings: readonly { readonly name: string; readonly cpu?: { readonly median: number } }[];
}

/** Samples per second of the processor's time: the benchmark gives one thread a core of its own. */
function rateOf(workloads: readonly Workload[], id: string): number {
  const own = workloads.find((each) => each.id === id);
  const time = own?.timings.find(({ name }) => name === "norms")?.cpu;
  if (!own || !time) throw new Error(`The benchmark has no processor's time for norms of ${id}.`);
  return (own.samples / time.median) * 1000;
}

const terabytes = (bytes: number) => (bytes >= 1e12 ? `${round(bytes / 1e12)} TB` : `${round(bytes / 1e9)} GB`);
const round = (value: number) => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(2));

/** The tables by name. */
export function tables(): ReadonlyMap<string, string> {
  const text = readFileSync(resolve("docs/benchmarks.json"), "utf8");
  const { workloads }: { readonly workloads: readonly Workload[] } = JSON.parse(text);
  return new Map([
    ["samples", samplesTable(workloads)],
    ["deaths", deathsTable(rateOf(workloads, "cifar-cnn"))],
    ["seven", sevenTable()],
  ]);
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(headings), `|${headings.map((_, k) => (k === 0 ? "---" : "---:")).join("|")}|`, ...rows.map(line)].join(
    "\n",
  );
}

function samplesTable(workloads: readonly Workload[]): string {
  const rows = models.map(({ id, what, bytes }) => {
    const parameters = workloads.find((each) => each.id === id)?.elements ?? 0;
    const rate = rateOf(workloads, id);
    const hours = (workers: number) => round(samples / rate / workers / 3600);
    return [
      what,
      terabytes(samples * bytes),
      round(rate),
      hours(1),
      hours(64),
      hours(1024),
      terabytes(samples * 4),
      terabytes(samples * 512 * 4),
      terabytes(samples * parameters * 4),
    ];
  });
  const headings = ["model", "data", "samples/s, a core", "hours, 1 core", "64 cores", "1,024 cores"];
  return table([...headings, "norms", "projected to 512", "all gradients"], rows);
}

/** 100 million pictures on 64 cores. */
function deathsTable(rate: number): string {
  const common = { secondsPerPart: samplesPerPart / rate, spread: 0.2, workers: 64, restart: 20 };
  const rows = [
    { of: samplesPerPart, hours: Number.POSITIVE_INFINITY },
    { of: samplesPerPart, hours: 10 },
    { of: samplesPerPart, hours: 1 },
    { of: samplesPerPart * 20, hours: 10 },
    { of: samplesPerPart * 20, hours: 1 },
    { of: 1000, hours: 1 },
  ].map(({ of, hours }) => {
    const scale = of / samplesPerPart;
    const job = { ...common, parts: samples / of, secondsPerPart: common.secondsPerPart * scale };
    const found = simulate({ ...job, hoursBetweenDeaths: hours });
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    return [
      of.toLocaleString("en"),
      Number.isFinite(hours) ? String(hours) : "never",
      found.hours.toFixed(2),
      found.deaths.toLocaleString("en"),
      percent(found.lost),
      percent(found.idle),
    ];
  });
  return table(
    ["samples of a part", "hours between deaths of a worker", "hours", "deaths", "work lost", "waiting"],
    rows,
  );
}

/** GPT-2 XL: 2 texts of 64 tokens took 20 s on two cores, with all of its products counted. */
const measuredFlops = (6 * 1.56e9 * 128) / 20;

function sevenTable(): string {
  const parameters = 7e9;
  const tokens = 512;
  const flops = 6 * parameters * tokens;
  const rows = [
    ["two cores, as measured", measuredFlops],
    ["a GPU at 100 TFLOPS, not measured", 1e14],
  ].map(([what, rate]) => {
    const seconds = flops / Number(rate);
    const million = (seconds * 1e6) / 3600;
    return [String(what), round(seconds), round(million), round(million / 1000), round((million * 100) / 1000)];
  });
  const headings = ["on", "seconds a sample", "hours, a million samples", "the same on 1,000", "100 million on 1,000"];
  return table(headings, rows);
}

/** Writes the tables between their marks. Throws if the page has no such marks. */
export function written(page: string): string {
  return [...tables()].reduce((text, [name, own]) => between(text, name, own, "docs/scale.md"), page);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const path = resolve("docs/scale.md");
  writeFileSync(path, written(readFileSync(path, "utf8")));
}
