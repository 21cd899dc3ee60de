import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const lines = (text: string) => text.split("\n").map((line) => line.trim());

it("docs/large-models.md quotes code that compiles", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/large-models.md"), "utf8");
  const code = lines(readFileSync(join(import.meta.dirname, "large-models-example.ts"), "utf8")).join("\n");
  const blocks = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, block = ""]) => lines(block).join("\n").trim());
  expect(blocks).toHaveLength(3);
  for (const block of blocks) expect(code).toContain(block);
});
