/** `npm run bench`: the cost of per-sample results beside the plain mean gradient of the same batch, and beside peers. */
import { readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join, resolve } from "node:path";
import { measureAttribution } from "./attribution.js";
import { besideBuild, ownBuild, startBuild } from "./builds.js";
import { chart } from "./chart.js";
import { compileBeside } from "./compile.js";
import { measureCurvature } from "./curvature.js";
import { measureIndexMemory } from "./index-memory.js";
import { measureLarge } from "./large.js";
import { thisMachine, thisProcessor } from "./machine.js";
import { interleave, type Timing, warmUp } from "./measure.js";
import { measureMemory } from "./memory.js";
import { type BenchOptions, benchOptions, UsageError, usage } from "./options.js";
import { page } from "./page.js";
import { startContest } from "./peers/contest.js";
import { installedPeers } from "./peers/installed.js";
import type { Command } from "./peers/process.js";
import { profile } from "./profile.js";
import { clippedSum, elementsOf, ours, plain } from "./programs.js";
import { measureQuery } from "./query.js";
import { measureRealModels } from "./real-models.js";
import { type BenchmarkResults, type Measured, type PeerTiming, peerKind } from "./results.js";
import { measureSteps } from "./steps.js";
import { measureStream } from "./stream.js";
import { targets } from "./targets.js";
import { makeWorkload, type Workload } from "./workloads.js";

const json = join("docs", "benchmarks.json");

const today = () => new Date().toISOString().slice(0, 10);

type Versions = BenchmarkResults["versions"];

async function measure(
  workload: Workload,
  peers: ReadonlyMap<string, Command>,
  seconds: number,
): Promise<{ measured: Measured; versions: Versions }> {
  const { id, name, samples } = workload;
  const at = { date: today(), load: loadavg()[0] ?? 0, processor: thisProcessor(), warmUp };
  const memory = await measureMemory(workload);
  const { compile, timings: allCores } = await onAllCores(workload, peers, seconds / 2);
  const build = await startBuild(ownBuild, workload);
  const contest = await startContest(workload, peers, { pinned: true });
  try {
    const all = await interleave([...build.alternatives, ...contest.alternatives], seconds);
    const timings = all.slice(0, build.alternatives.length);
    const theirs = contest.alternatives
      .map(({ kind, difference }, k): PeerTiming => {
        const timing = all[build.alternatives.length + k] as (typeof all)[number];
        return { ...timing, kind: peerKind(kind), ...(difference === undefined ? {} : { difference }) };
      })
      .filter((peer) => !Object.hasOwn(contest.refused, peer.name));
    const profiles = {
      [plain]: await profile(workload, plain),
      [clippedSum]: await profile(workload, clippedSum),
    };
    const steps = targets.privateStep.on.includes(id) ? { steps: await measureSteps(workload, seconds / 2) } : {};
    const found = {
      compile,
      memory,
      timings,
      allCores,
      ...steps,
      peers: theirs,
      refused: contest.refused,
      profiles,
    };
    const measured = { id, name, at, samples, elements: elementsOf(workload), ...found };
    return { measured, versions: contest.versions };
  } finally {
    contest.stop();
    build.stop();
  }
}

/** Repeats all measurements in this process, with as many threads as there are cores. */
async function onAllCores(
  workload: Workload,
  peers: ReadonlyMap<string, Command>,
  seconds: number,
): Promise<{ readonly compile: Measured["compile"]; readonly timings: readonly Timing[] }> {
  const own = await ours(workload);
  const contest = await startContest(workload, peers);
  try {
    const timings = await interleave([...own.alternatives, ...contest.alternatives], seconds);
    return { compile: own.compile, timings: timings.filter(({ name }) => !Object.hasOwn(contest.refused, name)) };
  } finally {
    contest.stop();
    await own.release();
  }
}

/** @param onMeasured receives the results of each workload as soon as they are measured */
async function measureAll(
  { seconds, workloads, real, large, stream, peers: folder }: BenchOptions,
  onMeasured: (results: BenchmarkResults) => void,
): Promise<BenchmarkResults> {
  const peers = folder === null ? new Map<string, Command>() : installedPeers(folder);
  if (folder !== null && peers.size === 0)
    throw new UsageError(`there are no peers in ${folder}; "npm run peers" sets them up.`);
  const date = today();
  const machine = await thisMachine(seconds);
  const results: Measured[] = [];
  let versions: Versions = {};
  for (const spec of workloads) {
    process.stderr.write(`${spec.name} ...\n`);
    const found = await measure(makeWorkload(spec), peers, seconds);
    results.push(found.measured);
    versions = { ...versions, ...found.versions };
    onMeasured({ date, seconds, machine, versions, workloads: results, real: [] });
  }
  const realResults = real === null ? [] : await measureRealModels(seconds / 2, real);
  const streamed = stream ? { stream: await measureStream(seconds) } : {};
  const ofLarge = large === null ? {} : { large: { [large]: await measureLarge(large, peers, seconds) } };
  if (results.length + realResults.length === 0 && !stream && large === null)
    throw new UsageError("--only names no workload and no real model.");
  return { date, seconds, machine, versions, workloads: results, real: realResults, ...streamed, ...ofLarge };
}

/**
 * The earlier results, with the parts that were measured now replaced. The machine of the page is this one, once no
 * workload is left that was measured on another.
 */
function updated(before: BenchmarkResults, now: BenchmarkResults): BenchmarkResults {
  const { real, stream, large, versions, machine, date } = now;
  const workloads = before.workloads.map((own) => now.workloads.find(({ id }) => id === own.id) ?? own);
  const isOfThis = workloads.every(({ at }) => at?.processor === machine.processor);
  return {
    ...before,
    ...(isOfThis ? { machine, date } : {}),
    versions: { ...before.versions, ...versions },
    workloads,
    real: before.real.map((own) => real.find(({ name }) => name === own.name) ?? own),
    ...(stream ? { stream } : {}),
    ...(large ? { large: { ...before.large, ...large } } : {}),
  };
}

function read(): BenchmarkResults {
  return JSON.parse(readFileSync(json, "utf8")) as BenchmarkResults;
}

function write(results: BenchmarkResults): void {
  writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`);
  writePage(results);
}

function writePage(results: BenchmarkResults): void {
  writeFileSync(join("docs", "benchmarks.md"), `${page(results)}\n`);
  writeFileSync(join("docs", "benchmarks.svg"), `${chart(results)}\n`);
}

async function main(args: readonly string[]): Promise<void> {
  const options = benchOptions(args);
  if (options === "help") process.stdout.write(usage);
  else if (options.page) writePage(read());
  else if (options.curvature) await measureCurvature(options, (line) => process.stdout.write(`${line}\n`));
  else if (options.attribution) await measureAttribution(options, (line) => process.stdout.write(`${line}\n`));
  else if (options.indexMemory)
    await measureIndexMemory(options.workloads, (line) => process.stdout.write(`${line}\n`));
  else if (options.query !== null)
    await measureQuery(options.query, options.seconds, (line) => process.stdout.write(`${line}\n`));
  else if (options.beside !== null) {
    const folder = join(resolve(options.beside), "dist");
    const told = (line: string) => void process.stdout.write(`${line}\n`);
    // A round takes about six seconds.
    if (options.compile) compileBeside(folder, options.compile, Math.max(1, Math.ceil(options.seconds / 6)), told);
    else await besideBuild(folder, options.workloads, options.seconds, told);
  } else {
    // Written now, so that a fault in a later workload does not lose an hour of measurements.
    const measured = await measureAll(options, (sofar) => {
      if (options.write) write(updated(read(), sofar));
    });
    process.stdout.write(`${page(measured)}\n`);
    if (options.write) write(options.whole ? measured : updated(read(), measured));
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`bench: ${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
