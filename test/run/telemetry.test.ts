/** ONNX Runtime's usage events are off: in an empty home no file appears, and nothing opens a socket. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";

const built = pathToFileURL(join(import.meta.dirname, "../../dist/node/pergrad.js")).href;

/** Runs a program, then looks for three seconds at what the process has open. */
const script = `
import { readdirSync, readlinkSync } from "node:fs";
import { isMainThread, Worker } from "node:worker_threads";
const open = () => readdirSync("/proc/self/fd").flatMap((fd) => {
  try { return [readlinkSync("/proc/self/fd/" + fd)]; } catch { return []; }
});
const inWorker = process.argv[2] === "worker";
const before = new Set(open());
const run = async () => {
  const { losses, nn, perSample, want } = await import(${JSON.stringify(built)});
  const program = await perSample(nn.model(nn.linear(2, 2), { seed: 0 }), {
    loss: losses.crossEntropy(), want: { norms: want.norms() }, workers: process.argv[2] === "workers",
  });
  await program.run({ x: { dtype: "float32", dims: [1, 2], data: Float32Array.of(1, 2) }, target: [0] });
  await program.release();
};
if (inWorker && isMainThread) {
  await import(${JSON.stringify(built)});
  const worker = new Worker(new URL(import.meta.url), { argv: ["inner"] });
  await new Promise((done) => worker.once("exit", done));
} else await run();
const seen = new Set();
for (let k = 0; k < 60; k++) {
  for (const each of open()) if (!before.has(each) && (each.startsWith("socket:") || each.endsWith(".db"))) seen.add(each);
  await new Promise((done) => setTimeout(done, 50));
}
if (isMainThread) console.log(JSON.stringify([...seen]));
`;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pergrad-telemetry-"));
  writeFileSync(join(folder, "run.mjs"), script);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Without CI and the variable itself, which would turn the events off. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(CI|ORT_DISABLE_TELEMETRY|GITHUB_|XDG_|VITEST|NODE_OPTIONS)/.test(name),
  ),
);

it.skipIf(process.platform !== "linux").concurrent.each(["plain", "workers", "worker"])(
  "of a program run %s",
  async (how) => {
    const home = mkdtempSync(join(folder, "home-"));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, "run.mjs"), how], {
      env: { ...environment, HOME: home },
    });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([]);
    expect(readdirSync(home, { recursive: true })).toEqual([]);
  },
);
