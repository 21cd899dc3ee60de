/** Which test files try which operator, found by the names of the tests. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

interface Listed {
  readonly name: string;
  readonly file: string;
}

/** The tests of single operators, of operators in files, and of operators in random graphs. */
const places = ["test/ops", "test/onnx", "test/program/random-graphs.test.ts"];

/** All tests of these files, without running them. Must run in the project's folder. */
function listed(): Listed[] {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-tests-"));
  try {
    const file = join(folder, "tests.json");
    const vitest = join("node_modules", "vitest", "vitest.mjs");
    // Called from a test, vitest must not notice that it runs inside itself.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")));
    const done = spawnSync(process.execPath, [vitest, "list", ...places, `--json=${file}`], { encoding: "utf8", env });
    if (done.status !== 0) throw new Error(`vitest cannot list the tests: ${done.stdout}${done.stderr}`);
    return JSON.parse(readFileSync(file, "utf8")) as Listed[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The operator that a test is about: "MaxPool with ties > ...", or "random graphs > through MaxPool". */
function operatorOf(name: string): string {
  const [suite = "", test = ""] = name.split(" > ");
  const about = suite === "random graphs" ? test.replace(/^through '?([\w.]+)'?.*$/, "$1") : suite;
  return about.split(" ")[0] ?? "";
}

/** Names of test files, without their endings, by operator. */
export function testsByOperator(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const { name, file } of listed()) {
    const op = operatorOf(name);
    found.set(op, (found.get(op) ?? new Set()).add(basename(file, ".test.ts")));
  }
  return new Map([...found].map(([op, files]) => [op, [...files].sort()]));
}
