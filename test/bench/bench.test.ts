import { describe, expect, it } from "vitest";
import { besideBuild, ownBuild, startBuild } from "../../bench/builds.js";
import { interleave, timed } from "../../bench/measure.js";
import { benchOptions, UsageError } from "../../bench/options.js";
import { opTimes, type TraceEvent } from "../../bench/profile.js";
import { compileProgram, ours, programNames } from "../../bench/programs.js";
import { makeWorkload, workloads } from "../../bench/workloads.js";

describe.each(workloads.map((spec) => [spec.id, spec] as const))("workload %s", (_, spec) => {
  it("compiles and gives a finite norm above 0 for each of two samples", async () => {
    const workload = makeWorkload(spec, 2);
    const program = await compileProgram(workload, "norms");
    const { norms } = (await program.run(workload.data)) as { norms: { total: { data: Float32Array } } };
    await program.release();
    expect(norms.total.data).toHaveLength(2);
    for (const norm of norms.total.data) {
      expect(norm).toBeGreaterThan(0);
      expect(norm).toBeLessThan(1e6);
    }
  });
});

it("there are nine workloads, with ids of their own, whose labels are within their classes", () => {
  expect(workloads).toHaveLength(9);
  expect(new Set(workloads.map(({ id }) => id)).size).toBe(9);
  for (const spec of workloads.filter(({ id }) => id !== "resnet18")) {
    const { target } = makeWorkload(spec, 5).data;
    const labels = Array.from(target.data as BigInt64Array, Number);
    expect(Math.min(...labels)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...labels)).toBeLessThan(spec.classes);
  }
});

it("all of ours run on the tiny workload", async () => {
  const tiny = workloads.find(({ id }) => id === "tiny");
  if (!tiny) throw new Error("no tiny workload");
  const own = await ours(makeWorkload(tiny, 3));
  expect(own.alternatives.map(({ name }) => name)).toEqual([...programNames, "naive loop"]);
  for (const { run } of own.alternatives) expect((await run(2)).wall).toBeGreaterThan(0);
  expect(Object.keys(own.compile)).toEqual([...programNames]);
  await own.release();
});

it("a build runs in a process of its own, which tells its processor time", async () => {
  const tiny = { id: "tiny" };
  const build = await startBuild(ownBuild, tiny);
  try {
    expect(build.alternatives.map(({ name }) => name)).toEqual([...programNames, "naive loop"]);
    const took = await build.alternatives[0]?.run(50);
    expect(took?.wall).toBeGreaterThan(0);
    expect(took?.cpu).toBeGreaterThan(0);
    // One thread: it cannot use more of the processor than time passes, but for what the clocks round.
    expect(took?.cpu).toBeLessThan((took?.wall ?? 0) * 1.5 + 1);
  } finally {
    build.stop();
  }
});

it("two builds are compared program by program; a folder that is no build is refused", async () => {
  const specs = workloads.filter(({ id }) => id === "tiny");
  const lines: string[] = [];
  await besideBuild(ownBuild, specs, 0, (line) => lines.push(line));
  expect(lines).toHaveLength(2 + programNames.length + 1);
  for (const line of lines.slice(2)) {
    const [, , , own, other, ratio] = line.split("|").map(Number);
    expect(ratio).toBeCloseTo((own ?? 0) / (other ?? 1), 1);
  }
  await expect(besideBuild("/nowhere", specs, 0, () => {})).rejects.toThrow("the process ended");
});

describe("interleaved measuring", () => {
  it("runs everyone in every round, however little time there is", async () => {
    const counts = { a: 0, b: 0 };
    const found = await interleave(
      [timed("a", async () => void counts.a++), { name: "b", run: async () => ({ wall: ++counts.b }) }],
      0,
    );
    expect(found.map(({ name, rounds }) => [name, rounds])).toEqual([
      ["a", 3],
      ["b", 3],
    ]);
    expect(counts.b).toBe(5);
  });

  it("tells the processor's time where every run does", async () => {
    // Each counts for itself: in which order they take turns is drawn.
    const runs = { both: 0, some: 0 };
    const both = { name: "both", run: async () => ({ wall: 30, cpu: ++runs.both }) };
    const some = { name: "some", run: async () => (++runs.some % 2 ? { wall: 30, cpu: 1 } : { wall: 30 }) };
    const [first, second] = await interleave([both, some], 0);
    expect(first?.cpu?.median).toBeGreaterThan(0);
    expect(first?.cpu?.low).toBeLessThanOrEqual(first?.cpu?.median ?? 0);
    expect(second).not.toHaveProperty("cpu");
  });

  it("one of more than two seconds runs once more, and that counts", async () => {
    const run = async () => ({ wall: 2001 });
    expect(await interleave([{ name: "slow", run }], 0)).toMatchObject([{ median: 2001, rounds: 1 }]);
  });

  it("a slow one leaves after its share; the others have more rounds", async () => {
    const slow = { name: "slow", run: async () => ({ wall: 900 }) };
    const fast = { name: "fast", run: async () => ({ wall: 10 }) };
    const [first, second] = await interleave([slow, fast], 2);
    expect(first?.rounds).toBe(3);
    expect(second?.rounds).toBeGreaterThan(3);
    expect([first?.median, second?.median]).toEqual([900, 10]);
  });

  it("a fast one has enough rounds, whatever time others have used up", async () => {
    const fast = { name: "fast", run: async () => ({ wall: 30 }) };
    const middling = { name: "middling", run: async () => ({ wall: 300 }) };
    const found = await interleave([fast, middling], 0.001);
    expect(found.map(({ rounds }) => rounds)).toEqual([25, 10]);
  });

  it("one that fails has a time of NaN and does not end the others", async () => {
    const found = await interleave(
      [{ name: "gone", run: async () => ({ wall: Number.NaN }) }, timed("well", async () => {})],
      0,
    );
    expect(found[0]?.median).toBeNaN();
    expect(found[1]?.median).toBeGreaterThanOrEqual(0);
  });
});

describe("a profile", () => {
  const event = (cat: string, name: string, ts: number, dur: number, op?: string): TraceEvent => ({
    cat,
    name,
    ts,
    dur,
    ...(op === undefined ? {} : { args: { op_name: op } }),
  });
  const run = (at: number, gemm: number) => [
    event("Session", "model_run", at, 900),
    event("Node", "first_kernel_time", at + 10, gemm, "Gemm"),
    event("Node", "second_kernel_time", at + 500, 200, "Scan"),
    event("Node", "inner_kernel_time", at + 510, 60, "Gemm"),
    event("Node", "inner_kernel_time", at + 600, 60, "Tanh"),
    event("Node", "first_fence_before", at + 5, 1, "Gemm"),
  ];

  it("leaves out the first run, takes medians, and counts a loop without its body", () => {
    const found = opTimes([...run(0, 400), ...run(1000, 100), ...run(2000, 140), ...run(3000, 120)]);
    expect(found).toEqual([
      { op: "Gemm", milliseconds: 0.18, nodes: 2 },
      { op: "Scan", milliseconds: 0.08, nodes: 1 },
      { op: "Tanh", milliseconds: 0.06, nodes: 1 },
    ]);
  });
});

describe("options", () => {
  const options = (...args: string[]) => benchOptions(args) as Exclude<ReturnType<typeof benchOptions>, "help">;

  it("--only takes an id, or else a part of names", () => {
    expect(options("--only", "mlp").workloads.map(({ id }) => id)).toEqual(["mlp"]);
    expect(options("--only", "MLP").workloads.map(({ id }) => id)).toEqual(["mlp", "mlp-large", "tiny"]);
    expect(options("--only", "MLP").real).toBeNull();
    expect(options("--only", "real")).toMatchObject({ workloads: [], real: "" });
    expect(options("--only", "BlazeFace")).toMatchObject({ workloads: [], real: "BlazeFace" });
    expect(options().workloads).toHaveLength(9);
  });

  it("--peers looks into a folder, which can be another", () => {
    expect(options().peers).toBeNull();
    expect(options("--peers", "--peers-folder", "there").peers).toBe("there");
  });

  it.each([
    [["--nonsense"], /Unknown option '--nonsense'/],
    [["--seconds", "-1"], /--seconds/],
    [["--seconds=many"], /--seconds takes a number/],
    [["--write", "--quick"], /--write needs a measurement without --quick/],
    [["stray"], /Unexpected argument 'stray'/],
  ])("%s is a usage error", (args, message) => {
    expect(() => benchOptions(args)).toThrow(UsageError);
    expect(() => benchOptions(args)).toThrow(message);
  });
});
