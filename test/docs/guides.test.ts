/** The code of the tutorial and of the guides, one block after another, as a reader copies it. */
import { expect, it } from "vitest";
import { runBlocks } from "../support/doc-blocks.js";

it("the tutorial finds wrong labels, trains privately, and opens what it saved", async () => {
  const told = await runBlocks("tutorial.md");
  const found = Number(told.join("\n").match(/^(\d+) of the 40 wrong labels/m)?.[1]);
  expect(found).toBeGreaterThan(30);
  expect(told.join("\n")).toMatch(/^Differentially private: epsilon (3\.\d+|4\.000) at delta 0\.0001, /m);
}, 120_000);

it("the guide on bad labels ranks them well by every score", async () => {
  const [loss, norm, trusted] = (await runBlocks("bad-labels.md")).map((line) => Number(line.split(" ").at(-1)));
  // What the page says, give or take the last bits of another processor.
  expect(loss).toBeCloseTo(0.995, 2);
  expect(norm).toBeCloseTo(0.992, 2);
  expect(trusted).toBeCloseTo(0.903, 2);
}, 120_000);

it("the guide on influence finds training samples of the query's label", async () => {
  const told = await runBlocks("influence.md");
  const pairs = told.flatMap((line) => [...line.matchAll(/label (\d); .* label (\d)$/g)]);
  expect(pairs).toHaveLength(3);
  for (const [, asked, helping] of pairs) expect(helping).toBe(asked);
}, 120_000);

it("the guide on cleaning finds the wrong label and the copy", async () => {
  expect(await runBlocks("cleaning.md")).toEqual(["true 0", "1 4"]);
}, 120_000);

it("the page on data reads and writes what it says", async () => {
  expect(await runBlocks("data.md")).toEqual(["[5,3]", "uint8 [5,3]"]);
}, 120_000);

it("the page on reports writes one", async () => {
  expect(await runBlocks("reports.md")).toEqual(['["report.html","report.csv","report.json"]']);
}, 120_000);
