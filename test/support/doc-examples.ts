/** Pages of documentation whose examples each stand in a scope of their own, behind a first block that all go on from. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, expect, it, vi } from "vitest";

const root = join(import.meta.dirname, "..", "..");

/**
 * Tests that the examples of a page compile, and print what the comments behind them say.
 * @param name the page's file in docs/, without ".md"
 * @returns the examples
 */
export function testExamples(name: string): readonly string[] {
  const page = readFileSync(join(root, "docs", `${name}.md`), "utf8");
  const [setup = "", ...examples] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
  const folder = mkdtempSync(join(root, "test", "docs", `${name}-`));
  afterAll(() => rmSync(folder, { recursive: true }));
  const blocks = [setup.replace('"pergrad"', '"../../../src/index.js"'), ...examples.map((each) => `{\n${each}}\n`)];
  // What examples write is written beside them.
  const code = blocks.join("").replace(/"(\w+\.html)"/g, (_, out: string) => JSON.stringify(join(folder, out)));
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
  return examples;
}
