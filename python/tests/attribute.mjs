// Scores of training samples by the worker and by Node: attribute.mjs FOLDER PYTHON. Every method that a cluster computes, on
// one machine and by jobs that PYTHON runs in processes of its own. Runs on the build in dist. FOLDER has data/*.parquet and the
// same as data.safetensors; it gets a folder for each case, with `expected.safetensors` beside what the jobs left, and cases.json.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { attributedBy } from "../../dist/src/cluster/attribution/attribute.js";
import { attribution, losses, nn, readTensors, writeTensors } from "../../dist/src/index.js";

const [folder = ".", python = "python3"] = process.argv.slice(2);

/** Runs a job as `python -m pergrad_worker --job` does, with no cluster. */
async function run({ job, files }, { out }) {
  const own = join(folder, `job-${jobs.length}`);
  jobs.push(own);
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, "job.json"), JSON.stringify(job));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(own, name), bytes);
  const child = spawn(python, ["-m", "pergrad_worker", "--job", own], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (printed += text));
  const code = await new Promise((end) => child.once("close", end));
  const [, samples, parts] = /(\d+) samples in (\d+) parts/.exec(printed) ?? [];
  if (code !== 0) throw new Error(printed);
  return { out, samples: Number(samples), parts: Number(parts) };
}
const jobs = [];

const models = [1, 2].map((seed) =>
  nn.model(nn.sequential(nn.linear(5, 8), nn.tanh(), nn.linear(8, 4)), {
    input: { x: { shape: ["N", 5], dtype: "float32" } },
    seed,
  }),
);
const loss = losses.crossEntropy();
const { gradDot, gradCos, tracIn, trak, loGra, influence, relatIF, representerPoints } = attribution;
const one = [models[0]];
const cases = {
  gradDot: [one, gradDot()],
  gradCos: [models, gradCos()],
  tracIn: [models, tracIn({ learningRates: [0.5, 0.1] })],
  tracInCosine: [models, tracIn({ cosine: true })],
  trak: [models, trak({ dims: 12, damping: 0.3 })],
  trakMeasured: [one, trak({ dims: 12 })],
  trakOfLoss: [one, trak({ dims: 12, damping: 0.3, output: "loss", seed: 4 })],
  loGra: [models, loGra({ dims: 10, damping: 0.01 })],
  loGraMeasured: [one, loGra({ dims: 10 })],
  diagonal: [models, influence({ inverse: "diagonal", damping: 0.01 })],
  diagonalMeasured: [one, influence({ inverse: "diagonal" })],
  diagonalOfGgn: [one, influence({ inverse: "diagonal", of: "ggn", damping: 0.01 })],
  kfac: [models, influence({ inverse: "kfac", damping: 0.01 })],
  ekfac: [one, influence({ inverse: "ekfac", of: "fisher", damping: 0.01 })],
  ekfacMeasured: [one, influence({ inverse: "ekfac" })],
};
const refusals = {
  gram: influence({ damping: 0.1 }),
  cg: influence({ inverse: "cg", damping: 0.1 }),
  hessian: influence({ inverse: "diagonal", of: "hessian", damping: 0.1 }),
  relatIF: relatIF({ inverse: "ekfac", damping: 0.1 }),
  representer: representerPoints({ l2: 0.1 }),
  adam: tracIn({ adam: [{ first: {}, second: {}, steps: 1 }] }),
  projection: trak({ projection: { dtype: "float32", dims: [84, 2], data: new Float32Array(168) } }),
};

const all = await readTensors(join(folder, "data.safetensors"));
const { ids: _, ...train } = all;
const queries = Object.fromEntries(
  Object.entries(train).map(([name, { dtype, dims, data }]) => {
    const size = data.length / dims[0];
    return [name, { dtype, dims: [3, ...dims.slice(1)], data: data.slice(0, 3 * size) }];
  }),
);
const data = join(folder, "data");
const told = {};
const left = Object.entries(cases);
/** Takes one case after another. */
async function lane() {
  for (let next = left.shift(); next; next = left.shift()) {
    const [name, [checkpoints, method]] = next;
    const out = join(folder, name);
    const { scores, dampings } = await attribution.scores(checkpoints, train, queries, { loss, method });
    const done = await attributedBy(run, checkpoints, data, queries, { loss, method, out, microbatchSize: 7 });
    await writeTensors(join(out, "expected.safetensors"), { scores });
    told[name] = { queries: done.queries, samples: done.samples, dampings: [dampings ?? [], done.dampings ?? []] };
  }
}
await Promise.all([lane(), lane(), lane()]);
const refused = {};
for (const [name, method] of Object.entries(refusals))
  refused[name] = await attributedBy(run, one, data, queries, {
    loss,
    method,
    out: join(folder, `refused-${name}`),
  }).then(
    () => null,
    ({ code, message }) => ({ code, message }),
  );
// The same call goes on with what is there; other queries in the same folder are refused.
const again = { loss, method: cases.kfac[1], out: join(folder, "kfac"), microbatchSize: 7 };
await attributedBy(run, models, data, queries, again);
const labels = queries.target.data.map((label) => (label + 1n) % 4n);
const others = { ...queries, target: { ...queries.target, data: labels } };
const other = await attributedBy(run, models, data, others, again).catch((error) => error);
writeFileSync(
  join(dirname(data), "cases.json"),
  JSON.stringify({ told, refused, other: String(other.message) }, null, 1),
);
