import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chart, marks } from "../../bench/chart.js";
import type { Timing } from "../../bench/measure.js";
import { largestDifferences, page } from "../../bench/page.js";
import type { BenchmarkResults } from "../../bench/results.js";
import { twiceAsFast, verdictsOf } from "../../bench/targets.js";
import { measured, peer, results } from "./results.js";

const byWhat = (found: ReturnType<typeof verdictsOf>, starts: string) =>
  found.find(({ what }) => what.startsWith(starts));

describe("the rate of gradients into JavaScript", () => {
  const timing = (name: string, median: number) => ({ name, median, low: median / 2, high: median, rounds: 3 });
  const stream = (median: number) => ({
    name: "network",
    samples: 4,
    bytes: 100e6,
    ways: [timing("one run", 50), timing("stream, reuse", median)],
    runs: [timing("norms", 2)],
  });

  it("is that of the way that gives memory back, in the median", () => {
    const found = page({ ...results([]), stream: stream(20) });
    expect(found).toContain("| stream, reuse | 5.00 | 10.00 |");
    expect(found).toContain("5.00 GB/s (to reach: 5): reached");
    expect(page({ ...results([]), stream: stream(20.1) })).toContain("(to reach: 5): **not reached**");
  });

  it("is left out where it was not measured", () => {
    expect(page(results([]))).not.toContain("into JavaScript");
  });
});

it("a workload that was measured later says when, and at which load", () => {
  const later = { ...measured("mlp", { mean: 1, clipped: 1 }), at: { date: "2026-02-01", load: 9 } };
  expect(page(results([later]))).toContain(
    "network mlp, N=4\n\nMeasured on 2026-02-01; load average just before: 9.0 (other work was running",
  );
  expect(page(results([measured("mlp", { mean: 1, clipped: 1 })])).match(/Measured on/g)).toHaveLength(1);
});

it("a workload that was measured on another machine names its processor", () => {
  const { machine } = results([]);
  const on = (processor: string) => ({
    ...measured("mlp", { mean: 1, clipped: 1 }),
    at: { date: "2026-02-01", load: 0, processor },
  });
  const moment = "Measured on 2026-02-01 on another machine (Other 9000); load";
  expect(page(results([on("Other 9000")]))).toContain(moment);
  expect(page(results([on(machine.processor)]))).toContain("network mlp, N=4\n\nMeasured on 2026-02-01; load");
});

it("ratios are of the processor's time where it was measured; the clock's, and that of all cores, stand beside", () => {
  const own = measured("mlp", { mean: 100, clipped: 100 }, [peer("PyTorch mean gradient", "mean", 50)]);
  const cpu = <T extends Timing>(timing: T, factor: number) => ({
    ...timing,
    cpu: { median: timing.median * factor, low: timing.median * factor * 0.9 },
  });
  const timings = own.timings.map((each) => cpu(each, each.name === "norms + clipped sum" ? 0.6 : 0.5));
  const pinned = {
    ...own,
    timings,
    peers: own.peers.map((each) => ({ ...each, ...cpu(each, 1) })),
    allCores: own.timings.map((each) => ({ ...each, median: each.median / 4 })),
  };
  expect(byWhat(verdictsOf(pinned), "time of norms + clipped sum, beside the mean")?.value).toBeCloseTo(1.2);
  expect(byWhat(verdictsOf(pinned), "time of the mean gradient")?.value).toBeCloseTo(1);
  const found = page(results([pinned]));
  expect(found).toContain("| norms + clipped sum | 60.0 | 100.0 | 90.0 - 120.0 | 1.20 | 25.0 | 30 | 11.0 |");
  expect(found).toContain("| PyTorch mean gradient | mean gradient | 50.0 | 50.0 | 45.0 - 60.0 | 1.00 |");
});

describe("verdicts", () => {
  it("a ratio at the limit is reached, one above is not", () => {
    const at = verdictsOf(measured("mlp", { mean: 100, clipped: 115 }));
    const above = verdictsOf(measured("mlp", { mean: 100, clipped: 116 }));
    expect(byWhat(at, "time of norms")).toMatchObject({ value: 1.15, limit: 1.15, reached: true });
    expect(byWhat(above, "time of norms")).toMatchObject({ value: 1.16, reached: false });
  });

  it("the residual network has a limit of its own", () => {
    expect(byWhat(verdictsOf(measured("resnet18", { mean: 10, clipped: 12.5 })), "time of norms")?.reached).toBe(true);
  });

  it("memory is judged by what tensors need, and not at all below what pages resolve", () => {
    const over = measured("mlp", { mean: 1, clipped: 1, meanMemory: 10e6, clippedMemory: 13e6 });
    expect(byWhat(verdictsOf(over), "peak memory")).toMatchObject({ value: 1.3, limit: 1.2, reached: false });
    const small = measured("mlp", { mean: 1, clipped: 1, meanMemory: 0.1e6, clippedMemory: 0.3e6 });
    expect(byWhat(verdictsOf(small), "peak memory")).toBeUndefined();
  });

  it("the rival is the fastest peer that computes clipped sums, not another kind", () => {
    const peers = [peer("slow", "clipped", 9), peer("quick", "clipped", 5), peer("other", "materialised", 1)];
    const found = byWhat(
      verdictsOf(measured("mlp", { mean: 4, clipped: 4 }, peers)),
      "time of norms + clipped sum, beside the f",
    );
    expect(found).toMatchObject({ value: 0.8, reached: true });
    expect(found?.what).toContain("(quick)");
  });

  it("a private step is judged beside the ordinary one, where they were measured", () => {
    const timing = (median: number) => ({ name: "", median, low: median, high: median, rounds: 3 });
    const own = measured("lstm", { mean: 1, clipped: 1 });
    const found = verdictsOf({ ...own, steps: { plain: timing(10), private: timing(14) } });
    expect(byWhat(found, "a step of private")).toMatchObject({ value: 1.4, limit: 1.3, reached: false });
    expect(byWhat(verdictsOf(own), "a step of private")).toBeUndefined();
  });

  it("without peers nothing is said of them", () => {
    const found = verdictsOf(measured("mlp", { mean: 4, clipped: 4 }));
    expect(found.filter(({ what }) => /peer|PyTorch/.test(what))).toEqual([]);
  });

  it("our mean gradient is compared with PyTorch's, whoever else is faster", () => {
    const peers = [peer("PyTorch mean gradient", "mean", 3), peer("JAX mean gradient", "mean", 1)];
    const found = byWhat(verdictsOf(measured("mlp", { mean: 4, clipped: 4 }, peers)), "time of the mean");
    expect(found).toMatchObject({ value: 4 / 3, reached: false });
  });

  it("the tiny network's step is judged in milliseconds", () => {
    const found = byWhat(verdictsOf(measured("tiny", { mean: 0.1, clipped: 0.14 })), "a whole step");
    expect(found).toMatchObject({ value: 0.14, limit: 0.15, reached: true, unit: "ms" });
    expect(byWhat(verdictsOf(measured("mlp", { mean: 0.1, clipped: 0.1 })), "a whole step")).toBeUndefined();
  });

  it("what was not measured is not reached", () => {
    const { timings, ...rest } = measured("mlp", { mean: 1, clipped: 1 });
    const found = verdictsOf({ ...rest, timings: timings.slice(0, 1) });
    expect(byWhat(found, "time of norms")?.reached).toBe(false);
  });

  it("workloads are counted on which ours is twice as fast; those without peers are not", () => {
    const workloads = [
      measured("mlp", { mean: 1, clipped: 1 }, [peer("a", "clipped", 2)]),
      measured("lstm", { mean: 1, clipped: 1 }, [peer("a", "clipped", 1.9)]),
      measured("gpt", { mean: 1, clipped: 1 }),
    ];
    expect(twiceAsFast(results(workloads))).toEqual({ count: 1, of: 2 });
  });
});

describe("the page", () => {
  const losing = measured("mlp", { mean: 4, clipped: 6 }, [
    peer("PyTorch mean gradient", "mean", 5),
    peer("Opacus ghost, clipped", "clipped", 3),
  ]);
  const text = page(results([{ ...losing, refused: { "jax-js": "no scan", tfjs: "no scan" } }]));

  it("tells machine, versions, and times beside the mean gradient", () => {
    expect(text).toContain("Abacus, 2 cores");
    expect(text).toContain("torch 2.0");
    expect(text).toContain("| norms + clipped sum |  | 6.00 | 5.40 - 7.20 | 1.50 |  | 30 | 11.0 |");
  });

  it("owns up to a machine that was busy", () => {
    const quiet = results([losing]);
    expect(page(quiet)).not.toContain("times are rough");
    expect(page({ ...quiet, machine: { ...quiet.machine, load: 4 } })).toContain("4.0 (other work was running");
  });

  it("sets each peer beside ours of the same kind", () => {
    expect(text).toContain("| Opacus ghost, clipped | norms + clipped sum |  | 3.00 | 2.70 - 3.60 | 0.50 |  | 2e-7 |");
    expect(text).toContain("| PyTorch mean gradient | mean gradient |  | 5.00 | 4.50 - 6.00 | 1.25 |  | 2e-7 |");
  });

  it("says where we lose, and why by the profile", () => {
    expect(text).toContain("the fastest peer's (Opacus ghost, clipped): 2.00 times (to reach: 1): **not reached**");
    expect(text).toContain("mean gradient: Gemm 75 %, Relu 25 %, of 4.00 ms");
    expect(text).toContain("ReduceSumSquare +2.00 ms (0.000 to 2.00), Relu -1.00 ms (1.00 to 0.000)");
  });

  it("gives one reason of several peers once", () => {
    expect(text).toContain("- jax-js; tfjs: no scan");
  });

  it("sums up which workloads miss which target", () => {
    const reached = measured("lstm", { mean: 4, clipped: 4 });
    const both = page(results([losing, reached]));
    expect(both).toMatch(/\| norms \+ clipped sum in at most 1\.15 times .* \| 1 of 2 \| 1 \|/);
  });

  it("does not explain where every target is reached", () => {
    expect(page(results([measured("lstm", { mean: 4, clipped: 4 })]))).not.toContain("profile of both");
  });
});

it("ops are ordered by how much their time differs, one that is new counting from zero", () => {
  const op = (name: string, milliseconds: number) => ({ op: name, milliseconds, nodes: 1 });
  const found = largestDifferences([op("a", 5), op("b", 1), op("c", 2)], [op("a", 4.5), op("d", 3), op("c", 2)], 3);
  expect(found.map(({ op: name }) => name)).toEqual(["d", "b", "a"]);
  expect(found[0]).toEqual({ op: "d", before: 0, after: 3 });
});

describe("the chart", () => {
  it("is an SVG file of its own with a row for each workload and a name for each mark", () => {
    const svg = chart(results([measured("mlp", { mean: 4, clipped: 6 }, [peer("a", "clipped", 5)])]));
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(svg).toContain("1. network mlp, N=4");
    for (const { name } of marks) expect(svg).toContain(name);
  });

  it("has a title, and no rules for a pointer", () => {
    const svg = chart(results([measured("mlp", { mean: 4, clipped: 6 })]));
    expect(svg).toMatch(/^<svg [^>]*>\n<title>[^<]+<\/title>/);
    expect(svg).not.toContain("<style");
    expect(svg).not.toContain("CDATA");
  });

  it("has no mark for what was not measured", () => {
    const count = (svg: string, colour: string) => svg.split(colour).length - 1;
    const without = chart(results([measured("mlp", { mean: 4, clipped: 6 })]));
    const withPeer = chart(results([measured("mlp", { mean: 4, clipped: 6 }, [peer("a", "clipped", 5)])]));
    const red = marks.find(({ name }) => name.startsWith("fastest"))?.colour ?? "";
    expect(count(withPeer, red)).toBe(count(without, red) + 1);
  });
});

it("docs/benchmarks.md and its chart are what docs/benchmarks.json says (npm run bench -- --page writes them)", () => {
  const read = (ending: string) => readFileSync(join(import.meta.dirname, `../../docs/benchmarks.${ending}`), "utf8");
  const told = JSON.parse(read("json")) as BenchmarkResults;
  expect(read("md")).toBe(`${page(told)}\n`);
  expect(read("svg")).toBe(`${chart(told)}\n`);
});
