// Installs and builds whatever is missing or out of date, and nothing else. Plain JavaScript without dependencies,
// because it runs before there are any. `--install` stops before the build (checks need none).
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const modulesStamp = join(root, "node_modules", ".pergrad-stamp");
const buildStamp = join(root, "dist", ".pergrad-stamp");

class SetupError extends Error {}

const readOr = (path, otherwise) => (existsSync(path) ? readFileSync(path, "utf8") : otherwise);

function filesIn(path) {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function hashOf(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(relative(root, path)).update("\0").update(readFileSync(path)).update("\0");
  return hash.digest("hex");
}

/** Runs a command silently; shows what it printed only if it fails. */
function run(what, command, args, options = {}) {
  process.stderr.write(`${what}…\n`);
  const done = spawnSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });
  if (done.status === 0) return;
  process.stderr.write(`${done.stdout ?? ""}${done.stderr ?? ""}`);
  throw new SetupError(`${what} failed${done.error ? `: ${done.error.message}` : ""}`);
}

function install() {
  const stamp = hashOf([join(root, "package-lock.json")]);
  if (readOr(modulesStamp, "") === stamp) return;
  // Include what a production setting would leave out: the compiler is a development dependency.
  const args = ["ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund"];
  const npm = process.env.npm_execpath;
  // Under `npm start` the running npm is known; elsewhere it is looked up, on Windows by the shell (npm is a .cmd there).
  if (npm?.endsWith("npm-cli.js")) run("installing", process.execPath, [npm, ...args]);
  else run("installing", "npm", args, { shell: process.platform === "win32" });
  writeFileSync(modulesStamp, stamp);
}

function build() {
  const sources = ["src", "examples", "bench", "fuzz", "scripts"]
    .flatMap((folder) => filesIn(join(root, folder)))
    .sort();
  const settings = ["package-lock.json", "tsconfig.json", "tsconfig.build.json"].map((name) => join(root, name));
  const stamp = hashOf([...settings, ...sources]);
  if (readOr(buildStamp, "") === stamp) return;
  // Built beside dist and then moved, so that a failed build leaves the last good one and no removed module lingers.
  const fresh = join(root, `dist.tmp-${process.pid}`);
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  try {
    run("building", process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", fresh]);
    run("packing", process.execPath, [join(root, "scripts", "bundle.mjs"), fresh]);
    writeFileSync(join(fresh, ".pergrad-stamp"), stamp);
    rmSync(join(root, "dist"), { recursive: true, force: true });
    renameSync(fresh, join(root, "dist"));
  } catch (error) {
    // Another process may have built the same sources at the same time and been first.
    if (readOr(buildStamp, "") !== stamp) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

export function setup({ installOnly = false } = {}) {
  if (Number.parseInt(process.versions.node, 10) < 20) {
    throw new SetupError(`pergrad needs Node 20 or later, and this is Node ${process.versions.node}`);
  }
  install();
  if (!installOnly) build();
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    setup({ installOnly: process.argv.includes("--install") });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
