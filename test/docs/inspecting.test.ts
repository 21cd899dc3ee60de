import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { debugWords } from "../../src/inspect/debug.js";
import { rules } from "../../src/optimise/rewrite.js";
import { runBlocks } from "../support/doc-blocks.js";
import { knownRewrites } from "../support/known-rewrites.js";

const page = readFileSync(join(import.meta.dirname, "../../docs/inspecting.md"), "utf8");

it("the code of docs/inspecting.md runs and prints what it says", async () => {
  const lines = await runBlocks("inspecting.md");
  expect(lines[0]).toMatch(/^inputs\n {2}\w+: /);
  expect(lines[1]).toMatch(/rule +times/);
  expect(lines).toEqual(expect.arrayContaining([expect.stringMatching(/^gradient took [\d.]+ ms$/)]));
  expect(lines).toEqual(expect.arrayContaining([expect.stringMatching(/^forward: [\d.]+ ms$/)]));
  expect(lines.at(-1)).toBe("float32 [N, 16] = Relu(MatMul(...))");
});

it("docs/inspecting.md tells of every word of PERGRAD_DEBUG", () => {
  for (const word of debugWords) expect(page).toContain(`| \`${word}\` |`);
});

it("docs/inspecting.md tells of every rewrite that is no local rule", () => {
  const local = new Set(rules.map(({ name }) => name));
  for (const name of knownRewrites) if (!local.has(name)) expect(page).toContain(`\`${name}\``);
});
