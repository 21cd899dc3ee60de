import { expect, it } from "vitest";
import { runBlocks } from "../support/doc-blocks.js";

it("the blocks of the page on private training do what their comments say", async () => {
  const lines = await runBlocks("private-training.md");
  const told = lines.join("\n");
  expect(told).toMatch(/^step 10: loss [\d.]+, epsilon [\d.]+$/m);
  expect(told).toMatch(/^Differentially private: epsilon (2\.9\d\d|3\.000) at delta 0\.00001, /m);
  expect(told).toMatch(/^\d+ steps, epsilon (1\.[6-9]\d|2\.00)$/m);
  expect(lines).toContain("true");
  expect(lines).toContain('["2.weight","2.bias"]');
  expect(lines).toContain("20 true");
  expect(told).toMatch(/^false NOT PRIVATE: noise and batches came from the seed 1\./m);
}, 120_000);
