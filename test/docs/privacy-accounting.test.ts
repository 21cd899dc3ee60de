/** The examples of docs/privacy-accounting.md run, in their order, and give what is written beside them. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { privacy } from "../../src/index.js";

test("the code blocks run, and the numbers beside them are right", () => {
  const text = readFileSync(new URL("../../docs/privacy-accounting.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, block]) => block ?? "");
  expect(blocks.length).toBe(4);
  const code = blocks
    .join("\n")
    .replace(/^import .*$/m, "")
    .replaceAll(" as const", "");
  const run = new Function("privacy", "console", `${code}\nreturn { epsilon, noise, lower, upper, all, chance };`);
  const printed: unknown[][] = [];
  const found = run(privacy, { log: (...words: unknown[]) => printed.push(words) });
  const beside = (name: string) => Number(new RegExp(`const ${name} = .*// ([0-9.e-]+)`).exec(text)?.[1]);
  for (const name of ["epsilon", "noise"]) expect(found[name]).toBeCloseTo(beside(name), 2);
  expect(found.chance / beside("chance")).toBeCloseTo(1, 2);
  expect(found.lower).toBeLessThanOrEqual(found.upper);
  expect(printed).toHaveLength(6);
});
