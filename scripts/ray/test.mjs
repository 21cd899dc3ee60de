// Usage: test.mjs [--install] [--write] [--only TEXT]. Starts a Ray node of two CPUs on this machine, and causes every fault of
// faults.mjs. --install makes a Python environment with Ray if there is none; --write puts the table into docs/cluster.md.
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  attribution,
  cluster,
  losses,
  nn,
  perSample,
  ray,
  readTensors,
  sgd,
  tensor,
  trainPrivately,
  want,
} from "../../dist/node/pergrad.js";
import { putBetween } from "../../dist/scripts/marked.js";
import { faultsOf, resultsIn } from "./faults.mjs";
import { RayNode } from "./node.mjs";
import { pythonWithRay } from "./python.mjs";

const { values } = parseArgs({
  options: { install: { type: "boolean" }, write: { type: "boolean" }, only: { type: "string" } },
});

/** Parquet files of random numbers: `files` of them, of `groups` row groups of `rows` rows. */
const writer = `
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from safetensors.numpy import save_file
parts = []
folder, files, groups, rows, width = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(7)
for f in range(files):
    x = rng.standard_normal((groups * rows, width), dtype=np.float32)
    columns = {"x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), width), "target": pa.array(rng.integers(0, 10, len(x)))}
    pq.write_table(pa.table(columns), f"{folder}/shard-{f}.parquet", row_group_size=rows, compression="NONE")
    parts.append((x, columns["target"].to_numpy()))
save_file({"x": np.concatenate([x for x, _ in parts]), "target": np.concatenate([t for _, t in parts])}, f"{folder}/../train.safetensors")
`;

const width = 64;

async function savedPrograms(folder) {
  const model = nn.model(nn.sequential(nn.linear(width, 256), nn.relu(), nn.linear(256, 10)), { seed: 1 });
  const paths = [];
  for (const [name, maxNorm] of [
    ["program", 1],
    ["another", 2],
  ]) {
    const wants = { norms: want.norms(), clipped: want.clippedSum({ maxNorm }), losses: want.losses() };
    const program = await perSample(model, { loss: losses.crossEntropy(), want: wants });
    paths.push(join(folder, `${name}.onnx`));
    await program.save(paths.at(-1), { for: "onnxruntime" });
    await program.release();
  }
  return paths;
}

/** The inputs of attribution: a model, the path of one file with the training samples, and queries. */
async function asked(folder) {
  const model = nn.model(nn.sequential(nn.linear(width, 32), nn.relu(), nn.linear(32, 10)), { seed: 1 });
  const { x, target } = await readTensors(join(folder, "train.safetensors"));
  const queries = {
    x: { ...x, dims: [5, width], data: x.data.slice(0, 5 * width) },
    target: { ...target, dims: [5], data: target.data.slice(0, 5) },
  };
  const { influence, trak, scores } = attribution;
  return {
    model,
    queries,
    loss: losses.crossEntropy(),
    methods: [trak({ dims: 64, damping: 1 }), influence({ inverse: "kfac" })],
    here: async (options) => (await scores(model, { x, target }, queries, { ...options, threads: 1 })).scores,
  };
}

/** Private training without noise, so that weights can be compared. */
function train(more) {
  const [samples, size] = [200, 16];
  const x = tensor(
    "float32",
    [samples, size],
    Float32Array.from({ length: samples * size }, (_, k) => Math.sin(k * k)),
  );
  const target = tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 4)),
  );
  const model = nn.model(nn.sequential(nn.linear(size, 32), nn.relu(), nn.linear(32, 4)), { seed: 1 });
  return trainPrivately(
    model,
    { x, target },
    {
      ...{ loss: losses.crossEntropy(), optimizer: sgd({ learningRate: 1 }), batchSize: 100, microbatchSize: 25 },
      ...{ maxNorm: 0.5, noiseMultiplier: 0, delta: 1e-5, seed: 3, steps: 3, threads: 1, ...more },
    },
  );
}

/** Writes the table into docs/cluster.md, between its marks. */
function write(rows, versions) {
  const page = fileURLToPath(new URL("../../docs/cluster.md", import.meta.url));
  const lines = rows.map(({ fault, came }) => `| ${fault} | ${came} |`);
  const table = ["| fault | what comes of it |", "|---|---|", ...lines].join("\n");
  putBetween(page, "faults", `${table}\n\nTested with Ray ${versions.split(" ")[0]}.`);
}

async function main(python, versions) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-ray-"));
  process.env.RAY_AUTH_TOKEN = randomBytes(16).toString("hex");
  const node = new RayNode(python, { token: process.env.RAY_AUTH_TOKEN });
  const rows = [];
  let failed = 0;
  try {
    const data = join(folder, "data");
    mkdirSync(data);
    const wrote = spawnSync(python, ["-c", writer, data, "3", "4", "1000", String(width)], { encoding: "utf8" });
    if (wrote.status !== 0) throw new Error(wrote.stderr);
    const [saved, another] = await savedPrograms(folder);
    await node.start();
    const map = (program, from, options) => {
      const running = cluster(ray(node.url)).map(program, from, options);
      // If a test fails before it awaits a promise, the promise's error is not the one to report.
      running.catch(() => {});
      return running;
    };
    const begun = Date.now();
    await map(saved, data, { out: join(folder, "whole") });
    console.log(`an undisturbed run: ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    const whole = await resultsIn(join(folder, "whole"));
    const faults = faultsOf({ node: () => node, map, saved, data, folder, whole });
    for (const { fault, run } of faults.filter((each) => each.fault.includes(values.only ?? ""))) {
      const start = Date.now();
      try {
        const came = await run({ another, train, asked: () => asked(folder) });
        rows.push({ fault, came });
        console.log(`passed (${((Date.now() - start) / 1000).toFixed(1)} s): ${fault}: ${came}`);
      } catch (error) {
        failed++;
        console.log(`failed: ${fault}: ${error.stack ?? error}`);
      }
    }
  } finally {
    await node.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  if (values.write && failed === 0 && values.only === undefined) write(rows, versions);
  console.log(`${rows.length} passed, ${failed} failed`);
  return failed;
}

const { python, versions, reason } = pythonWithRay(values.install);
if (process.platform !== "linux")
  console.log("skipped: npm run test:ray (it looks for processes in /proc, which Linux has)");
else if (python === undefined) console.log(`skipped: npm run test:ray (${reason})`);
else process.exitCode = (await main(python, versions)) === 0 ? 0 : 1;
