// Usage: runtimes.mjs [VERSION ...] [-- VITEST_ARGUMENT ...]. Runs the op tests on other versions of onnxruntime-node,
// each installed into a temporary folder: the oldest that pergrad runs on, and the newest that npm offers.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// Sessions of older versions do not give the names of their inputs in the same form.
const oldest = "1.22.0";

function run(command, args, options) {
  return spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32", ...options }).status === 0;
}

/** Whether the tests pass on this version. */
function passes(version, tests) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-runtime-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", `onnxruntime-node@${version}`];
    console.log(`== onnxruntime-node ${version}`);
    if (!run("npm", install, { cwd: folder })) return false;
    const env = { ...process.env, PERGRAD_TEST_RUNTIME: folder };
    return run("npx", ["--no-install", "vitest", "run", ...tests], { cwd: root, env });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const given = process.argv.slice(2);
const cut = given.includes("--") ? given.indexOf("--") : given.length;
const versions = given.slice(0, cut);
const tests = given.slice(cut + 1);
const failed = (versions.length > 0 ? versions : [oldest, "latest"]).filter(
  (version) => !passes(version, tests.length > 0 ? tests : ["test/ops", "test/run", "test/program/program.test.ts"]),
);
if (failed.length > 0) {
  console.error(`Tests failed on onnxruntime-node ${failed.join(", ")}.`);
  process.exitCode = 1;
}
