/** Attribution beside dattri, TRAK and kronfluence: one thread each on one core, taking turns, by CPU time. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { betweenMarks, putBetween } from "../scripts/marked.js";
import { attribution, losses, nn, type Tensor } from "../src/index.js";
import { type Alternative, interleave, type Timing, timedAlone } from "./measure.js";
import type { BenchOptions } from "./options.js";
import { startContest } from "./peers/contest.js";
import { attributionPeers } from "./peers/installed.js";
import type { Command } from "./peers/process.js";
import { makeWorkload, type Workload, type WorkloadSpec, workloads } from "./workloads.js";

/** Numbers per sample in an index. */
export const indexedDims = 2048;
/** The last digits are the queries. */
const queries = 100;
/** Seconds per batch. */
const patience = { readyLimit: 120, runLimit: 120 };

interface Contestant {
  readonly name: string;
  readonly title: string;
  readonly workload: Workload;
  /** How many times our index gets the workload's batch: ours compiles, peers do not, and their set-up is not timed. */
  readonly batches: number;
  run(): Promise<void>;
}

function indexed(id: string, batches: number): Contestant {
  const spec = workloads.find((each) => each.id === id);
  if (!spec) throw new RangeError(`there is no workload ${id}`);
  const workload = makeWorkload(spec);
  const { model, data, loss, name } = workload;
  const run = async () => {
    const out = mkdtempSync(join(tmpdir(), "pergrad-bench-"));
    try {
      const all = Array<typeof data>(batches).fill(data);
      const index = await attribution.index(model, all, {
        loss,
        method: "gradDot",
        dims: indexedDims,
        threads: 1,
        out,
      });
      await index.release();
    } finally {
      rmSync(out, { recursive: true });
    }
  };
  return {
    name: "pergrad, attribution.index",
    title: `an index of ${indexedDims} numbers, ${name}`,
    workload,
    batches,
    run,
  };
}

/** The network and the numbers of samples of the yardstick in docs/attribution.md; the values of its data do not matter. */
const digits: WorkloadSpec = {
  id: "digits",
  name: "MLP 784-128-64-10",
  samples: 2000 + queries,
  module: () =>
    nn.model(nn.sequential(nn.linear(784, 128), nn.relu(), nn.linear(128, 64), nn.relu(), nn.linear(64, 10)), {
      input: { x: ["N", 784] },
      seed: 0,
    }),
  input: [784],
  classes: 10,
};

function scored(): Contestant {
  const workload = makeWorkload(digits);
  const { model, data, samples } = workload;
  const part = (from: number, to: number) => ({ x: rows(data.x, from, to), target: rows(data.target, from, to) });
  const [train, asked] = [part(0, samples - queries), part(samples - queries, samples)];
  const method = attribution.influence({ inverse: "ekfac", damping: 1e-3 });
  const run = async () => {
    await attribution.scores(model, train, asked, { loss: losses.crossEntropy(), method, threads: 1 });
  };
  const title = `EK-FAC scores, [${queries}, ${samples - queries}], ${digits.name}`;
  return { name: "pergrad, attribution.scores", title, workload, batches: 1, run };
}

function rows(tensor: Tensor, from: number, to: number): Tensor {
  const width = tensor.data.length / (tensor.dims[0] ?? 1);
  const dims = [to - from, ...tensor.dims.slice(1)];
  return { ...tensor, dims, data: tensor.data.slice(from * width, to * width) } as Tensor;
}

/** What is compared, by the workload's id; the yardstick's perceptron is not a workload of the other benchmarks. */
const contestants: readonly { readonly id: string; make(): Contestant }[] = [
  { id: "mnist-cnn", make: () => indexed("mnist-cnn", 64) },
  { id: "gpt", make: () => indexed("gpt", 8) },
  { id: digits.id, make: scored },
];

/** Throws if there are no peers. */
export async function measureAttribution(options: BenchOptions, told: (line: string) => void): Promise<void> {
  const peers = attributionPeers(options.peers ?? "");
  const chosen = contestants.filter(({ id }) => options.whole || options.workloads.some((each) => each.id === id));
  const measured = new Map<string, readonly string[]>();
  for (const { make } of chosen) {
    const each = make();
    measured.set(each.title, await besidePeers(each, peers, options.seconds, told));
  }
  if (options.write) putTable(measured);
}

/** The rows of the table. */
async function besidePeers(
  each: Contestant,
  peers: ReadonlyMap<string, Command>,
  seconds: number,
  told: (line: string) => void,
): Promise<readonly string[]> {
  const { title, workload, batches } = each;
  const lines: string[] = [];
  const contest = await startContest(workload, peers, { pinned: true, reference: {}, ...patience });
  try {
    const alternatives: readonly Alternative[] = [timedAlone(each.name, each.run), ...contest.alternatives];
    const timings = await interleave(alternatives, seconds);
    const perSample = ({ cpu }: Timing, k: number) =>
      (cpu?.low ?? Number.NaN) / workload.samples / (k === 0 ? batches : 1);
    const least = timings[0] ? perSample(timings[0], 0) : Number.NaN;
    for (const [k, timing] of timings.entries()) {
      const took = perSample(timing, k);
      lines.push(`| ${title} | ${timing.name} | ${took.toPrecision(3)} | ${(took / least).toFixed(1)} |`);
      told(lines.at(-1) ?? "");
    }
    for (const [name, why] of Object.entries(contest.refused))
      lines.push(`| ${title} | ${name} | takes no part (a batch of ${workload.samples}): ${why} | |`);
    told(`${title}: ${JSON.stringify(contest.versions)}`);
  } finally {
    contest.stop();
  }
  return lines;
}

/** Writes the rows into the page. Rows that were not measured stay. */
function putTable(measured: ReadonlyMap<string, readonly string[]>): void {
  const page = join("docs", "attribution.md");
  const rows = betweenMarks(readFileSync(page, "utf8"), "peers").split("\n").slice(2);
  const titles = new Set([...rows.map(titleOf), ...measured.keys()]);
  const all = [...titles].flatMap((title) => measured.get(title) ?? rows.filter((row) => titleOf(row) === title));
  putBetween(page, "peers", ["| what | by | CPU ms a sample | times ours |", "|---|---|---:|---:|", ...all].join("\n"));
}

const titleOf = (row: string) => row.split("|")[1]?.trim() ?? "";
