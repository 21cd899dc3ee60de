/** The examples of docs/curvature.md: they compile, run, and print what they say. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, expect, it, vi } from "vitest";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/curvature.md"), "utf8");
const [setup = "", ...examples] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
const folder = mkdtempSync(join(import.meta.dirname, "curvature-"));
afterAll(() => rmSync(folder, { recursive: true }));

const code = [setup.replace('"pergrad"', '"../../../src/index.js"'), ...examples.map((each) => `{\n${each}}\n`)].join(
  "",
);
const file = join(folder, "page.ts");
writeFileSync(file, code);

it("the examples compile", () => {
  const options = { extends: "../../../tsconfig.json", compilerOptions: { rootDir: root, noUnusedLocals: false } };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ ...options, include: ["page.ts"] }));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  expect(execFileSync(process.execPath, [tsc, "--noEmit", "-p", folder], { encoding: "utf8" })).toBe("");
});

it("the examples print what they say", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import(file);
  const printed = log.mock.calls.map((values) =>
    values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" "),
  );
  log.mockRestore();
  const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
  expect(promised.length).toBeGreaterThan(0);
  expect(printed).toEqual(promised);
});
