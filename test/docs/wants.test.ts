/** The examples of docs/wants.md: they compile, run, and print what they say. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, expect, it, vi } from "vitest";
import { want } from "../../src/index.js";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/wants.md"), "utf8");
const [setup = "", ...examples] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
const folder = mkdtempSync(join(import.meta.dirname, "wants-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** One module: each example in a scope of its own, behind what all go on from. */
const code = [setup.replace('"pergrad"', '"../../../src/index.js"'), ...examples.map((each) => `{\n${each}}\n`)].join(
  "",
);
const file = join(folder, "page.ts");
writeFileSync(file, code);

it("the examples compile", () => {
  const options = { extends: "../../../tsconfig.json", compilerOptions: { rootDir: root, noUnusedLocals: false } };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ ...options, include: ["page.ts"] }));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const result = () => execFileSync(process.execPath, [tsc, "--noEmit", "-p", folder], { encoding: "utf8" });
  expect(result()).toBe("");
});

it("the examples print what they say", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import(file);
  const printed = log.mock.calls.map((values) =>
    values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" "),
  );
  log.mockRestore();
  const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
  expect(printed).toEqual(promised);
});

it("every want has an example", () => {
  for (const name of Object.keys(want)) expect(examples.join(""), name).toContain(`want.${name}(`);
});
