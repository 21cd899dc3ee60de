// Checks and tests the worker in Python, in a virtual environment of its own with pinned packages. Each test prints a line
// that begins with "passed: ", "failed: " or "skipped: ", which .ci/run counts. If there is no Python, or its packages are not
// available, everything is skipped, with the reason. PERGRAD_PYTHON names a Python that has the packages already.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "python");
const environment = join(root, "node_modules", ".pergrad-python");
const requirements = join(folder, "requirements.txt");

class Skipped extends Error {}

function output(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: 600_000 });
  return { ok: status === 0, text: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trim() };
}

/** The Python of an environment that has the packages of requirements.txt. */
function python() {
  const given = process.env.PERGRAD_PYTHON;
  if (given) return given;
  const stamp = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  const stampFile = join(environment, ".pergrad-stamp");
  const own = join(environment, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return own;
  const version = output("python3", ["-c", "import sys; print(sys.version_info >= (3, 11))"]);
  if (version.text !== "True") throw new Skipped("there is no python3 of version 3.11 or later");
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(join(root, "node_modules"), { recursive: true });
  const made = output("python3", ["-m", "venv", environment]);
  if (!made.ok) throw new Skipped(`python3 makes no virtual environment: ${made.text.split("\n").at(-1)}`);
  const args = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--only-binary",
    ":all:",
    "-r",
    requirements,
  ];
  const installed = output(own, args);
  if (!installed.ok)
    throw new Skipped(`pip cannot install what the worker needs: ${installed.text.split("\n").at(-1)}`);
  writeFileSync(stampFile, stamp);
  return own;
}

function check(name, command, args) {
  const { ok, text } = output(command, args);
  console.log(`${ok ? "passed" : "failed"}: python, ${name}`);
  if (!ok) console.log(text);
  return ok;
}

const outcomes = { PASSED: "passed", FAILED: "failed", ERROR: "failed", SKIPPED: "skipped" };

/** Runs the tests; returns whether all passed. */
async function test(command) {
  const child = spawn(command, ["-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider"], {
    cwd: folder,
    env: { ...process.env, PYTHONPATH: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let rest = "";
  let reported = 0;
  const line = (text) => {
    const [, name, word] = /^(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED)\b/.exec(text) ?? [];
    if (word) reported += 1;
    console.log(word ? `${outcomes[word]}: python, ${name}` : text);
  };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const each of lines) line(each);
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (rest !== "") line(rest);
  // A file that could not be collected is not a failed test.
  if (code !== 0 && (code !== 1 || reported === 0)) console.log("failed: python, the tests could not be run");
  return code === 0;
}

try {
  const command = python();
  const passed = [
    check("ruff format", command, ["-m", "ruff", "format", "--check", folder]),
    check("ruff check", command, ["-m", "ruff", "check", folder]),
    check("mypy", command, [
      "-m",
      "mypy",
      "--config-file",
      join(folder, "pyproject.toml"),
      join(folder, "pergrad_worker"),
    ]),
    await test(command),
  ];
  process.exitCode = passed.every(Boolean) ? 0 : 1;
} catch (error) {
  if (!(error instanceof Skipped)) throw error;
  console.log(`skipped: python (${error.message})`);
}
