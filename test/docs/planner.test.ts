/** docs/planner.md: its code compiles and runs, and prints what the page says. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/planner.md"), "utf8");
const folder = mkdtempSync(join(import.meta.dirname, "planner-"));
afterAll(() => rmSync(folder, { recursive: true }));
const code = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, each = ""]) => each).join("\n");
const file = join(folder, "page.ts");
writeFileSync(file, code.replace('"pergrad"', '"../../../src/index.js"'));

it("its code compiles", () => {
  const options = { extends: "../../../tsconfig.json", compilerOptions: { rootDir: root, noUnusedLocals: false } };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ ...options, include: ["page.ts"] }));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  expect(execFileSync(process.execPath, [tsc, "--noEmit", "-p", folder], { encoding: "utf8" })).toBe("");
});

it("prints what it says", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import(file);
  const printed = log.mock.calls.map(([line]) => `${line}\n`).join("");
  log.mockRestore();
  const [, promised] = /^```text\n(.*?)^```$/ms.exec(page) ?? [];
  expect(printed).toBe(promised);
});
