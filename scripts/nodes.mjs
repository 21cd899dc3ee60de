// Usage: nodes.mjs [VERSION | bun | deno ...]. Runs scripts/nodes-smoke.mjs on the versions of Node that pergrad supports (the
// oldest one, and the newest of each maintained line), on Bun and on Deno, each from npm, in a temporary folder.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const smoke = fileURLToPath(new URL("nodes-smoke.mjs", import.meta.url));
const { arch, platform } = process;
const windows = platform === "win32";
const bunVersion = "1.4.5";
const denoVersion = "2.9.6";

/** The package of a runtime for this machine, its executable in that package, and the arguments that run a script. */
function runtimeOf(name) {
  if (name === "bun") {
    const own = `@oven/bun-${windows ? "windows" : platform}-${arch === "arm64" ? "aarch64" : arch}`;
    return { install: `${own}@${bunVersion}`, program: join(own, "bin", "bun"), args: [] };
  }
  if (name === "deno") {
    const own = `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}`;
    return { install: `${own}@${denoVersion}`, program: join(own, "deno"), args: ["run", "--allow-all"] };
  }
  const own = `node-${windows ? "win" : platform}-${arch}`;
  return { install: `${own}@${name}`, program: join(own, "bin", "node"), args: [] };
}

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, {
    stdio: "inherit",
    shell: windows,
    timeout: 300_000,
    ...options,
  });
  if (error) console.error(String(error));
  return status === 0;
}

/** An error in a worker thread as it ends may not change the exit code, but it appears on stderr. */
function runsQuietly(command, args, cwd) {
  const stdio = ["ignore", "inherit", "pipe"];
  const { status, stderr, error } = spawnSync(command, args, { cwd, stdio, encoding: "utf8", timeout: 300_000 });
  if (status === 0 && stderr === "") return true;
  console.error(error ? String(error) : stderr);
  return false;
}

function passes(name) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-node-"));
  const { install, program, args } = runtimeOf(name);
  try {
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    const options = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
    if (!run("npm", ["install", ...options, install], { cwd: folder })) return false;
    return runsQuietly(join(folder, "node_modules", program), [...args, smoke], folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const given = process.argv.slice(2);
const all = ["20.19.0", "22", "24", "bun", "deno"];
const failed = (given.length > 0 ? given : all).filter((name) => !passes(name));
if (failed.length > 0) {
  console.error(`Failed on ${failed.join(", ")}.`);
  process.exitCode = 1;
}
