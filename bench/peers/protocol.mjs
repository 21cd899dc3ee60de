// The protocol of protocol.py, for peers in JavaScript.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Versions of the packages in the folder that the benchmark names. */
export const requirePeer = createRequire(join(process.argv[2] ?? ".", "package.json"));

export function versionsOf(names) {
  const manifest = (name) => join(process.argv[2] ?? ".", "node_modules", name, "package.json");
  return Object.fromEntries(names.map((name) => [name, JSON.parse(readFileSync(manifest(name), "utf8")).version]));
}

/** Labels and words become int32. */
function readTensors(file) {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, start));
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    tensors.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const own = new Uint8Array(bytes.subarray(start + from, start + to)).buffer;
        const data = dtype === "I64" ? Int32Array.from(new BigInt64Array(own), Number) : new Float32Array(own);
        return [name, { shape, data }];
      },
    ),
  );
}

/** @param tensors by name, { shape, data: Float32Array } */
function writeTensors(file, tensors) {
  let end = 0;
  const entries = [...tensors].map(([name, { shape, data }]) => {
    const from = end;
    end += 4 * data.length;
    return [name, { dtype: "F32", shape, data_offsets: [from, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const data = [...tensors.values()].map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  writeFileSync(file, Buffer.concat([length, header, ...data]));
}

const reason = (error) =>
  `${error?.name ?? "Error"}: ${`${error?.message ?? error}`.trim().split("\n")[0]}`.slice(0, 300);

/**
 * @param alternatives (workload, parameters, x, target) => { name: { kind, make } }, or a reason why there are none;
 *   make() returns run(); run() returns a promise of { norms, gradients }, each { shape, data }, or of undefined if there
 *   is nothing to check
 */
export async function serve(peer, versions, alternatives) {
  let offered = {};
  const runs = new Map();
  const does = {
    prepare: async ({ workload, file, order }) => {
      const tensors = readTensors(file);
      const parameters = order.map((name) => tensors.get(`parameters/${name}`));
      offered = await alternatives(workload, parameters, tensors.get("x"), tensors.get("target"));
      return { alternatives: Object.fromEntries(Object.entries(offered).map(([name, { kind }]) => [name, kind])) };
    },
    make: async ({ name }) => {
      const run = await offered[name].make();
      await run();
      runs.set(name, run);
      return {};
    },
    run: async ({ name, times }) => {
      const run = runs.get(name);
      const used = process.cpuUsage();
      const start = performance.now();
      for (let k = 0; k < times; k++) await run();
      const { user, system } = process.cpuUsage(used);
      return { milliseconds: (performance.now() - start) / times, cpu: (user + system) / 1000 / times };
    },
    check: async ({ name, file }) => {
      const { norms, gradients } = await runs.get(name)();
      const named = gradients.map((gradient, k) => [`${k}`, gradient]);
      writeTensors(file, new Map(norms ? [["norms", norms], ...named] : named));
      return {};
    },
  };
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr); // a library's own output is not an answer
  const answer = (content) => write(`${JSON.stringify(content)}\n`);
  answer({ peer, versions });
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      answer(await does[request.do](request));
    } catch (error) {
      answer({ error: reason(error) });
    }
  }
}
