// The faults that a job on Ray must survive, or that must end it with a clear error: causes each, and checks the outcome.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cluster, ray, rayWorkers, readTensors } from "../../dist/node/pergrad.js";

/** The results in a folder, by name. Sums are read, because the order of their file's metadata differs from run to run. */
export async function resultsIn(folder) {
  const names = readdirSync(folder).filter((name) =>
    /^(part-\d+\.(parquet|sums\.safetensors)|sums\.safetensors)$/.test(name),
  );
  const found = new Map();
  for (const name of names.sort()) {
    const hash = createHash("sha256");
    if (name.endsWith(".parquet")) hash.update(readFileSync(join(folder, name)));
    else
      for (const [tensor, { dtype, dims, data }] of Object.entries(await readTensors(join(folder, name))).sort())
        hash.update(`${tensor} ${dtype} ${dims}\n`).update(data);
    found.set(name, hash.digest("hex"));
  }
  return found;
}

function must(condition, what) {
  if (!condition) throw new Error(what);
}

/** Throws if a folder does not hold, byte by byte, what an undisturbed run wrote. */
async function mustEqual(folder, whole) {
  const found = await resultsIn(folder);
  for (const [name, digest] of whole) must(found.get(name) === digest, `${name} is not that of an undisturbed run`);
  must(found.size === whole.size, `${found.size} files instead of ${whole.size}`);
  const left = readdirSync(folder).filter((name) => name.endsWith(".partial"));
  return left.length;
}

async function failure(running) {
  try {
    await running;
  } catch (error) {
    return error;
  }
  throw new Error("no error came");
}

/** Waits until a folder holds this many parts. */
async function partsIn(folder, count) {
  const parts = () => readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".parquet"));
  while (!existsSync(folder) || parts().length < count) await sleep(20);
}

export const worker = /^ray::compute/;
const driver = /^python pergrad_ray\.py|\/python\S* pergrad_ray\.py/;

const answering = /^ray::answer_one/;
const answersDriver = /^python pergrad_ray_answers\.py|\/python\S* pergrad_ray_answers\.py/;

/** @returns rows of the table: the fault, and the outcome */
export function faultsOf({ node, map, saved, data, folder, whole }) {
  const out = (name) => join(folder, `out-${name}`);
  return [
    {
      fault: "a worker is killed (SIGKILL), twice",
      run: async () => {
        const running = map(saved, data, { out: out("worker") });
        for (let k = 0; k < 2; k++) {
          process.kill(await node().find(worker), "SIGKILL");
          await sleep(300);
        }
        await running;
        await mustEqual(out("worker"), whole);
        return "right: equal to an undisturbed run, bit for bit; the parts are computed again";
      },
    },
    {
      fault: "a worker is slow (stopped for 5 seconds)",
      run: async () => {
        const running = map(saved, data, { out: out("slow") });
        const pid = await node().find(worker);
        process.kill(pid, "SIGSTOP");
        await sleep(5000);
        process.kill(pid, "SIGCONT");
        await running;
        await mustEqual(out("slow"), whole);
        return "right: the others compute other parts meanwhile";
      },
    },
    {
      fault: "the driver is killed (SIGKILL)",
      run: async () => {
        const running = failure(map(saved, data, { out: out("driver") }));
        await partsIn(out("driver"), 1);
        process.kill(await node().find(driver), "SIGKILL");
        const error = await running;
        must(error.code === "CLUSTER_JOB", `${error.code}: ${error.message}`);
        const before = await resultsIn(out("driver"));
        const times = new Map([...before.keys()].map((name) => [name, statSync(join(out("driver"), name)).mtimeMs]));
        await map(saved, data, { out: out("driver") });
        await mustEqual(out("driver"), whole);
        for (const [name, time] of times)
          if (name.endsWith(".parquet"))
            must(statSync(join(out("driver"), name)).mtimeMs === time, `${name} was computed again`);
        return `\`CLUSTER_JOB\`; the same call again computes what is missing and no part twice`;
      },
    },
    {
      fault: "the node is killed (SIGKILL of all its processes)",
      run: async () => {
        const running = failure(map(saved, data, { out: out("node") }));
        await partsIn(out("node"), 1);
        await node().kill();
        const error = await running;
        must(error.code === "CLUSTER_UNREACHABLE", `${error.code}: ${error.message}`);
        await node().start();
        await map(saved, data, { out: out("node") });
        await mustEqual(out("node"), whole);
        return "`CLUSTER_UNREACHABLE`; once the cluster is there again, the same call goes on: right";
      },
    },
    {
      fault: "the disk is full",
      run: async () => {
        const disk = out("disk");
        mkdirSync(disk);
        const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
        if (mounted.status !== 0) return "not tried: a small disk cannot be mounted here";
        try {
          const error = await failure(map(saved, data, { out: join(disk, "results") }));
          must(
            error.code === "CLUSTER_JOB" && /no space is left/.test(error.message),
            `${error.code}: ${error.message}`,
          );
          spawnSync("mount", ["-o", "remount,size=100m", disk]);
          await map(saved, data, { out: join(disk, "results") });
          const left = await mustEqual(join(disk, "results"), whole);
          must(left === 0, `${left} unfinished files are left`);
          return `\`CLUSTER_JOB\`: "${shown(error.message)}"; with room again, the same call goes on: right`;
        } finally {
          spawnSync("umount", [disk]);
        }
      },
    },
    {
      fault: "a shard is damaged",
      run: async () => {
        // To the worker, a file that was changed and mended is another one, so it is none of those of the other faults.
        const own = join(folder, "own-data");
        cpSync(data, own, { recursive: true });
        const last = readdirSync(own).sort().at(-1);
        const shard = join(own, last);
        const right = readFileSync(shard);
        const bad = Buffer.from(right);
        // All its row groups, up to the footer: a part that is computed notes when its file was changed.
        bad.fill(0xff, 4, right.length - 8 - right.readUInt32LE(right.length - 8));
        writeFileSync(shard, bad);
        const error = await failure(map(saved, own, { out: out("damaged") }));
        writeFileSync(shard, right);
        must(error.code === "CLUSTER_JOB" && error.message.includes(last), `${error.code}: ${error.message}`);
        await map(saved, own, { out: out("damaged") });
        await map(saved, own, { out: out("mended") });
        await mustEqual(out("damaged"), await resultsIn(out("mended")));
        return `\`CLUSTER_JOB\`: "${shown(error.message)}"; with the shard mended, the same call goes on: right`;
      },
    },
    {
      fault: "the token is wrong, or missing",
      run: async () => {
        const right = process.env.RAY_AUTH_TOKEN;
        try {
          for (const wrong of ["wrong", ""]) {
            process.env.RAY_AUTH_TOKEN = wrong;
            const error = await failure(map(saved, data, { out: out("token") }));
            must(error.code === "CLUSTER_REFUSED", `${error.code}: ${error.message}`);
          }
        } finally {
          process.env.RAY_AUTH_TOKEN = right;
        }
        must(!existsSync(out("token")), "something was computed");
        return "`CLUSTER_REFUSED`; nothing is computed";
      },
    },
    {
      fault: "the program is of another version",
      run: async () => {
        const other = join(folder, "other-version.onnx");
        const text = readFileSync(saved, "latin1");
        must(text.includes('{"version":2,'), "the program's version is not where it was");
        writeFileSync(other, text.replace('{"version":2,', '{"version":9,'), "latin1");
        const error = await failure(map(other, data, { out: out("version") }));
        must(error.code === "CLUSTER_JOB" && /version 9/.test(error.message), `${error.code}: ${error.message}`);
        return `\`CLUSTER_JOB\`: "${shown(error.message)}"`;
      },
    },
    {
      fault: "private training: a worker is killed, then the driver",
      run: async ({ train }) => {
        const alone = await train({});
        let killed = 0;
        const found = await train({
          cluster: rayWorkers(ray(node().url), { folder: out("training"), count: 2 }),
          onStep: async ({ step }) => {
            if (step === 1) process.kill(await node().find(answersDriver), "SIGKILL");
          },
          record: async () => {
            if (killed++ > 0) return;
            // While the step's parts are computed.
            node()
              .find(answering)
              .then((pid) => process.kill(pid, "SIGKILL"))
              .catch(() => {});
          },
        });
        must(JSON.stringify(found.state.ledger) === JSON.stringify(alone.state.ledger), "the ledger differs");
        let furthest = 0;
        for (const [name, { data: expected }] of Object.entries(alone.state.parameters)) {
          const own = found.state.parameters[name].data;
          const largest = Math.max(...expected.map(Math.abs));
          expected.forEach((value, k) => {
            furthest = Math.max(furthest, Math.abs(own[k] - value) / largest);
          });
        }
        must(furthest <= 1e-8, `the weights differ by ${furthest}`);
        return `right: weights equal to one machine's to ${furthest === 0 ? "the last bit" : furthest.toExponential(0)}, the ledger too`;
      },
    },
    {
      fault: "attribution: a worker is killed, then the call is stopped and given again",
      run: async ({ asked }) => {
        const { model, queries, loss, methods, here } = await asked();
        let furthest = 0;
        for (const method of methods) {
          const own = { loss, method, out: out(`scores-${method.name}`) };
          const attribute = (more) => cluster(ray(node().url)).attribute(model, data, queries, { ...own, ...more });
          const controller = new AbortController();
          const stopped = failure(attribute({ signal: controller.signal }));
          process.kill(await node().find(worker), "SIGKILL");
          await partsIn(own.out, 1);
          controller.abort(new Error("enough"));
          must((await stopped).message === "enough", "the signal's reason is not thrown");
          await attribute({});
          const expected = await here({ loss, method });
          const { scores } = await readTensors(join(own.out, "scores.safetensors"));
          const largest = expected.data.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
          must(scores.data.length === expected.data.length, "scores are missing");
          for (const [k, each] of expected.data.entries())
            furthest = Math.max(furthest, Math.abs(scores.data[k] - each) / largest);
        }
        must(furthest <= 1e-5, `scores differ by ${furthest}`);
        return "right: `trak` and `influence` (kfac) as on one machine, to 1e-5 of the largest score";
      },
    },
    {
      fault: "the folder holds results of another program",
      run: async ({ another }) => {
        const error = await failure(map(another, data, { out: out("worker") }));
        must(error.code === "CLUSTER_JOB" && /another program/.test(error.message), `${error.code}: ${error.message}`);
        await mustEqual(out("worker"), whole);
        return `\`CLUSTER_JOB\`: "${shown(error.message)}"`;
      },
    },
  ];
}

/** Without the machine's folders. */
const shown = (message) => message.replaceAll(/"\/[^"]*\/([^"/]+)"/g, '"$1"');
