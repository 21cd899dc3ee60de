// Installs the benchmark's peers in a folder outside the package, as far as they are available: `npm run peers`.
// Plain JavaScript without dependencies; bench/peers/installed.ts finds what it has installed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

/** The versions for which the benchmark's scripts were written. PyTorch for Linux includes CUDA's libraries: 6 GB. */
const python = [
  { name: "PyTorch", packages: ["torch==2.15.0"] },
  { name: "Opacus", packages: ["opacus==1.6.0"] },
  { name: "BackPACK", packages: ["backpack-for-pytorch==1.7.1"] },
  { name: "curvlinops", packages: ["curvlinops-for-pytorch==3.0.1"] },
  { name: "laplace-torch", packages: ["laplace-torch==0.3"] },
  { name: "dattri", packages: ["dattri==0.3.0"] },
  { name: "TRAK", packages: ["traker==0.3.2"] },
  { name: "kronfluence", packages: ["kronfluence==1.0.1"] },
  { name: "JAX", packages: ["jax==0.10.2"] },
  { name: "safetensors (how weights and data are handed over)", packages: ["safetensors", "numpy"] },
];

const node = [
  { name: "jax-js", packages: ["@jax-js/jax@0.1.25"] },
  {
    name: "tfjs",
    packages: ["@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0"],
  },
];

const usage = `Usage: npm run peers -- [--dir FOLDER] [--python PYTHON]

Sets up what the benchmark compares with, in FOLDER (default $PERGRAD_PEERS or ../pergrad-peers).
`;

function options() {
  const known = {
    dir: { type: "string", default: process.env.PERGRAD_PEERS ?? join("..", "pergrad-peers") },
    python: { type: "string", default: "python3" },
    help: { type: "boolean", default: false },
  };
  try {
    return parseArgs({ options: known }).values;
  } catch (error) {
    process.stderr.write(`peers: ${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

/** Whether it worked; if not, one line says what went wrong. */
function run(what, command, args, cwd) {
  process.stdout.write(`${what} ... `);
  const done = spawnSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "ignore", "pipe"] });
  const failed = done.error?.message ?? (done.status === 0 ? undefined : lastLine(done.stderr));
  process.stdout.write(failed === undefined ? "there\n" : `could not be had: ${failed}\n`);
  return failed === undefined;
}

function lastLine(text) {
  const lines = text.split("\n").filter((line) => /error/i.test(line));
  return lines.at(-1)?.trim() ?? "no reason given";
}

function setUpPython(folder, interpreter) {
  const own = process.platform === "win32" ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
  if (!existsSync(own) && !run("Python environment", interpreter, ["-m", "venv", folder])) return 0;
  const flags = ["--disable-pip-version-check", "--quiet"];
  return python.filter(({ name, packages }) => run(name, own, ["-m", "pip", "install", ...flags, ...packages])).length;
}

function setUpNode(folder) {
  mkdirSync(folder, { recursive: true });
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith("npm-cli.js") ? [process.execPath, [npm]] : ["npm", []];
  const flags = ["install", "--ignore-scripts", "--save-exact", "--no-audit", "--no-fund"];
  return node.filter(({ name, packages }) => run(name, command, [...first, ...flags, ...packages], folder)).length;
}

const { dir, python: interpreter, help } = options();
if (help) process.stdout.write(usage);
else {
  const folder = resolve(dir);
  const found = setUpPython(join(folder, "python"), interpreter) + setUpNode(join(folder, "node"));
  process.stdout.write(`Now: npm run bench -- --peers --peers-folder ${folder}\n`);
  if (found === 0) process.exitCode = 1;
}
