// Usage: bench.mjs [--rounds R] [--samples N] [--shards K] [--write]. Measures how fast per-sample norms of a CNN are, from Parquet
// to Parquet: by a loop in Python, by Ray tasks on one and two workers, with `--workers`, and with `stream` in Node. Rounds are
// interleaved. On a machine that others use too, wall-clock time says little, so processor time is compared as well. --write puts
// the table into docs/cluster.md.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { unzipSync } from "fflate";
import { network } from "../../dist/examples/digits/network.js";
import { putBetween } from "../../dist/scripts/marked.js";
import { packedFiles } from "../../dist/src/cluster/package.js";
import { losses, perSample, want } from "../../dist/src/index.js";
import { RayNode } from "./node.mjs";
import { pythonWithRay } from "./python.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    samples: { type: "string", default: "49152" },
    shards: { type: "string", default: "24" },
    write: { type: "boolean" },
  },
});
const shards = Number(values.shards);

const writer = `
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
folder, shards, rows = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(7)
for k in range(shards):
    x = rng.standard_normal((rows, 784), dtype=np.float32)
    columns = {"x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 784), "target": pa.array(rng.integers(0, 10, rows))}
    pq.write_table(pa.table(columns), f"{folder}/shard-{k}.parquet")
`;

/** A process that answers each word with a line of JSON. */
class Server {
  #waiting = [];
  constructor(command, args, env = {}) {
    this.child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.child.stdout }).on("line", (line) =>
      this.#waiting.shift()?.resolve(JSON.parse(line)),
    );
    this.child.once("close", (code) => {
      for (const { reject } of this.#waiting) reject(new Error(`${command} ended with ${code}`));
    });
    this.ready = this.#answer();
  }
  #answer() {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
  ask(way) {
    const answer = this.#answer();
    this.child.stdin.write(`${way}\n`);
    return answer;
  }
  end() {
    this.child.stdin.end();
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** The time of two processes that ran at the same time. */
const bothOf = (two) => ({
  seconds: Math.max(...two.map(({ seconds }) => seconds)),
  cpu: two.reduce((sum, { cpu }) => sum + cpu, 0),
});

/** Pairs to compare, and the ratio to reach; without a number the ratio only shows what the machine gives. */
const targets = [
  ["ray, one worker", "loop", 0.9, "a Ray task for each shard, over a loop in Python"],
  ["ray, two workers", "ray, one worker", 1.8, "two workers over one"],
  ["two loops", "loop", undefined, "two loops in Python that know nothing of each other, over one"],
  ["loop", "stream", 0.9, "a loop in Python over `stream` in Node, on one thread"],
  ["--workers 2", "--workers 1", 1.7, "`--workers 2` over `--workers 1`, with their start"],
];

function tableOf(taken, samples) {
  const lines = targets.map(([way, other, least, what]) => {
    const [own, than] = [taken.get(way), taken.get(other)];
    const ratios = own.map(({ seconds }, k) => than[k].seconds / seconds);
    const at = (each) => Math.min(...each.map(({ seconds }) => seconds));
    const cpu = (each) => Math.min(...each.map((one) => one.cpu));
    const cores = way.includes("2") || way.includes("two") ? 2 : 1;
    return `| ${what} | ${least ?? ""} | ${median(ratios).toFixed(2)} | ${(at(than) / at(own)).toFixed(2)} | ${((cores * cpu(than)) / cpu(own)).toFixed(2)} |`;
  });
  const rates = [...taken].map(([way, each]) => {
    const best = Math.min(...each.map(({ seconds }) => seconds));
    return `${way} ${Math.round(samples / best)}`;
  });
  return [
    "| | to reach | median of rounds | fastest rounds | by processor time |",
    "|---|---|---|---|---|",
    ...lines,
    "",
    `Samples in a second, fastest rounds: ${rates.join("; ")}.`,
  ].join("\n");
}

async function main(python) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-throughput-"));
  const node = new RayNode(python);
  const servers = [];
  try {
    const [data, out, job, own] = ["data", "out", "job", "own"].map((name) => join(folder, name));
    for (const each of [data, out, job, own]) mkdirSync(each);
    const samples = Number(values.samples);
    const wrote = spawnSync(python, ["-c", writer, data, String(shards), String(samples / shards)], {
      encoding: "utf8",
    });
    if (wrote.status !== 0) throw new Error(wrote.stderr);
    const program = await perSample(network(0), { loss: losses.crossEntropy(), want: { norms: want.norms() } });
    await program.save(join(job, "program.onnx"), { for: "onnxruntime" });
    await program.release();
    const { zip } = await packedFiles({ data, out, settings: {} }, "pergrad_ray.py");
    for (const [name, bytes] of Object.entries(unzipSync(zip))) {
      mkdirSync(join(job, name, ".."), { recursive: true });
      writeFileSync(join(job, name), bytes);
    }
    const begun = Date.now();
    await node.start();
    console.log(`the node started in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    const script = (name) => fileURLToPath(new URL(name, import.meta.url));
    const inPython = new Server(python, [script("throughput.py"), job, node.address, node.mark]);
    const inNode = new Server(process.execPath, [script("stream.mjs"), job, data, own]);
    const loops = [0, 1].map(() => new Server(python, [script("loop.py"), job]));
    servers.push(inPython, inNode, ...loops);
    console.log(JSON.stringify(await inPython.ready));
    await Promise.all([inNode, ...loops].map((each) => each.ready));
    const asked = {
      loop: () => loops[0].ask("0/1"),
      "two loops": async () => bothOf(await Promise.all(loops.map((each, k) => each.ask(`${k}/2`)))),
      stream: () => inNode.ask("stream"),
    };
    const ways = ["loop", "two loops", "ray, one worker", "ray, two workers", "stream", "--workers 1", "--workers 2"];
    const ask = (way) => (Object.hasOwn(asked, way) ? asked[way]() : inPython.ask(way));
    const taken = new Map(ways.map((way) => [way, []]));
    for (const way of ways) await ask(way);
    const loads = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      loads.push(loadavg()[0]);
      for (let k = 0; k < ways.length; k++) {
        // Each begins a round in its turn.
        const way = ways[(k + round) % ways.length];
        const found = await ask(way);
        taken.get(way).push(found);
        console.log(`${way}: ${found.seconds.toFixed(2)} s, ${found.cpu.toFixed(2)} s of processors`);
      }
    }
    const load = `${values.rounds} interleaved rounds of ${samples} samples in ${shards} shards, at a load of ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)} on two CPUs.`;
    const table = `${tableOf(taken, samples)} ${load}`;
    console.log(table);
    if (values.write) write(table);
  } finally {
    for (const each of servers) each.end();
    const begun = Date.now();
    await node.stop();
    console.log(`the node stopped in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes the table into docs/cluster.md, between its marks. */
function write(table) {
  const page = fileURLToPath(new URL("../../docs/cluster.md", import.meta.url));
  putBetween(page, "throughput", table);
}

const { python, reason } = pythonWithRay(false);
if (python === undefined) console.log(`skipped: ${reason}`);
else await main(python);
