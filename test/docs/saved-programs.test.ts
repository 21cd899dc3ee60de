import { expect, it } from "vitest";
import { runBlocks } from "../support/doc-blocks.js";

it("the code of docs/saved-programs.md runs and prints two norms", async () => {
  const lines = await runBlocks("saved-programs.md");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\{"0":[\d.]+,"1":[\d.]+\}$/);
});
