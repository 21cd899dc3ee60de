// Usage: million.mjs [--samples N] [--folder F]. N synthetic samples (a million, 4 GB of disk) are projected to 512 numbers each
// by a Ray node of two CPUs, twice: undisturbed, and with a worker killed twice. Both results must be equal, bit for bit.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { cluster, losses, nn, perSample, ray, want } from "../../dist/node/pergrad.js";
import { resultsIn, worker } from "./faults.mjs";
import { RayNode } from "./node.mjs";
import { pythonWithRay } from "./python.mjs";

const { values } = parseArgs({
  options: { samples: { type: "string", default: "1000000" }, folder: { type: "string", default: tmpdir() } },
});
const samples = Number(values.samples);
const [width, rows] = [64, 20_000];

const writer = `
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
folder, samples, rows, width = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(3)
for start in range(0, samples, 10 * rows):
    count = min(10 * rows, samples - start)
    x = rng.standard_normal((count, width), dtype=np.float32)
    ids = pa.array(np.arange(start, start + count))
    columns = {"id": ids, "x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), width), "target": pa.array(rng.integers(0, 10, count))}
    pq.write_table(pa.table(columns), f"{folder}/shard-{start:09d}.parquet", row_group_size=rows)
`;

/** Prints how many ids all parts hold, how many differ, the least and the greatest: each of 0 to samples - 1 must be there once. */
const counter = `
import sys, glob, numpy as np, pyarrow.parquet as pq
ids = np.concatenate([pq.read_table(path, columns=["id"])["id"].to_numpy() for path in sorted(glob.glob(sys.argv[1] + "/part-*.parquet"))])
print(len(ids), len(np.unique(ids)), int(ids.min()), int(ids.max()))
`;

function python(executable, code, ...args) {
  const { status, stdout, stderr } = spawnSync(executable, ["-c", code, ...args.map(String)], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

async function main(executable) {
  const folder = mkdtempSync(join(values.folder, "pergrad-million-"));
  const node = new RayNode(executable);
  try {
    const [data, saved] = [join(folder, "data"), join(folder, "program.onnx")];
    mkdirSync(data);
    python(executable, writer, data, samples, rows, width);
    const model = nn.model(nn.sequential(nn.linear(width, 128), nn.relu(), nn.linear(128, 10)), { seed: 1 });
    const wants = { projected: want.project({ dims: 512 }) };
    const program = await perSample(model, { loss: losses.crossEntropy(), want: wants });
    await program.save(saved, { for: "onnxruntime" });
    await program.release();
    await node.start();
    const run = async (name) => {
      const begun = Date.now();
      const out = join(folder, name);
      const done = await cluster(ray(node.url)).map(saved, data, { out });
      const seconds = (Date.now() - begun) / 1000;
      console.log(
        `${name}: ${done.samples} samples, ${done.parts} parts, ${seconds.toFixed(0)} s; ids ${python(executable, counter, out)}`,
      );
      return resultsIn(out);
    };
    const whole = await run("undisturbed");
    const disturbed = run("disturbed");
    disturbed.catch(() => {});
    for (let k = 0; k < 2; k++) {
      process.kill(await node.find(worker), "SIGKILL");
      console.log("a worker was killed");
      await sleep(3000);
    }
    const found = await disturbed;
    const different = [...whole].filter(([name, digest]) => found.get(name) !== digest);
    if (different.length > 0 || found.size !== whole.size) throw new Error(`${different.length} parts differ`);
    console.log(`equal: ${whole.size} files, bit for bit`);
  } finally {
    await node.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const { python: executable, reason } = pythonWithRay(false);
if (executable === undefined) console.log(`skipped: ${reason}`);
else await main(executable);
