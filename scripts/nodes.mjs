// Usage: nodes.mjs [VERSION ...]. Runs scripts/nodes-smoke.mjs on the versions of Node that pergrad supports, each from
// npm, installed into a temporary folder: the oldest, and the newest of each line that is maintained.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const smoke = fileURLToPath(new URL("nodes-smoke.mjs", import.meta.url));
const platform = process.platform === "win32" ? "win" : process.platform;

function run(command, args, options) {
  return spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32", ...options }).status === 0;
}

function passes(version) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-node-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    const name = `node-${platform}-${process.arch}`;
    const install = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", `${name}@${version}`];
    if (!run("npm", install, { cwd: folder })) return false;
    return run(join(folder, "node_modules", name, "bin", "node"), [smoke], { cwd: folder });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const given = process.argv.slice(2);
const failed = (given.length > 0 ? given : ["20.19.0", "22", "24"]).filter((version) => !passes(version));
if (failed.length > 0) {
  console.error(`Failed on Node ${failed.join(", ")}.`);
  process.exitCode = 1;
}
