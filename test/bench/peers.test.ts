import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { differenceOf, referenceOf } from "../../bench/peers/compare.js";
import { startContest } from "../../bench/peers/contest.js";
import { installedPeers } from "../../bench/peers/installed.js";
import { PeerProcess } from "../../bench/peers/process.js";
import { makeWorkload, type Workload, workloads } from "../../bench/workloads.js";
import type { Tensor } from "../../src/index.js";
import { writeTensors } from "../../src/io/files.js";

const fake = (mode: string, file = "") => ({
  file: process.execPath,
  args: [fileURLToPath(new URL("fake-peer.mjs", import.meta.url)), mode, file],
});

describe("a contest", () => {
  let folder: string;
  let workload: Workload;
  let right: string;
  let wrong: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "pergrad-peers-test-"));
    const tiny = workloads.find(({ id }) => id === "tiny");
    if (!tiny) throw new Error("no tiny workload");
    workload = makeWorkload(tiny, 3);
    const { clipped } = await referenceOf(workload);
    const results = [...(clipped ?? [])].map(([name, data]): [string, Tensor] => [
      name,
      { dtype: "float32", dims: [data.length], data: Float32Array.from(data) },
    ]);
    [right, wrong] = [join(folder, "right.safetensors"), join(folder, "wrong.safetensors")];
    await writeTensors(right, Object.fromEntries(results));
    for (const [, { data }] of results.filter(([name]) => name === "0")) data[0] = 5;
    await writeTensors(wrong, Object.fromEntries(results));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const contest = (mode: string, file = right) => startContest(workload, new Map([["fake", fake(mode, file)]]));

  it("hands weights and data over, and lets run whose results are ours", async () => {
    const { alternatives, refused, versions, stop } = await contest("works");
    try {
      expect(refused).toEqual({});
      expect(versions).toEqual({ fake: { fake: "1.2.3" } });
      expect(alternatives.map(({ name, kind }) => [name, kind])).toEqual([
        ["fake, clipped", "clipped"],
        ["fake gradients", "materialised"],
      ]);
      expect(alternatives.map(({ difference }) => difference)).toEqual([0, undefined]);
      expect(await alternatives[0]?.run(3)).toEqual({ wall: 6, cpu: 9 });
    } finally {
      stop();
    }
  });

  it("refuses who computes something else", async () => {
    const { alternatives, refused, stop } = await contest("works", wrong);
    stop();
    expect(alternatives.map(({ name }) => name)).toEqual(["fake gradients"]);
    expect(refused["fake, clipped"]).toMatch(/its results are not ours: they differ by/);
  });

  it("tells a peer's own reason", async () => {
    const { alternatives, refused, stop } = await contest("refuses");
    stop();
    expect(alternatives).toEqual([]);
    expect(refused["fake, clipped"]).toBe("NotImplementedError: no such layer");
  });

  it("tells that a peer does not start", async () => {
    const { refused } = await contest("dead");
    expect(refused).toEqual({ fake: "the process ended with exit code 3" });
  });

  it("goes on when a peer breaks down in a run, whose time is then no number", async () => {
    const { alternatives, refused, stop } = await contest("crashes");
    expect((await alternatives[0]?.run(1))?.wall).toBeNaN();
    stop();
    expect(refused).toEqual({ "fake, clipped": "the process ended with exit code 9" });
  });
});

it("a peer that does not answer is ended, and all that is asked of it later fails alike", async () => {
  const { process: peer } = await PeerProcess.start(fake("silent"));
  const reason = '"make" took more than 0.3 s';
  await expect(peer.ask({ do: "make", name: "a" }, 0.3)).rejects.toThrow(reason);
  await expect(peer.ask({ do: "run", name: "a", times: 1 }, 60)).rejects.toThrow(reason);
});

describe("the difference of results", () => {
  const of = (norms: number[], gradient: number[]) =>
    new Map([
      ["norms", norms],
      ["0", gradient],
    ]);

  it("is relative to the largest norm and to the largest element, whichever is worse", () => {
    expect(differenceOf(of([4, 2], [1, 0.1]), of([4, 3], [1, 0.1]))).toBe(0.25);
    expect(differenceOf(of([4, 2], [1, 0.5]), of([4, 2], [0.5, 0.5]))).toBe(0.5);
  });

  it("is infinite for missing tensors, other sizes and NaN", () => {
    const ours = of([1], [1, 2]);
    for (const theirs of [new Map([["norms", [1]]]), of([1], [1]), of([Number.NaN], [1, 2])])
      expect(differenceOf(ours, theirs)).toBe(Number.POSITIVE_INFINITY);
  });
});

it("an empty folder has no peers", () => {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-peers-test-"));
  expect(installedPeers(folder).size).toBe(0);
  rmSync(folder, { recursive: true });
});
