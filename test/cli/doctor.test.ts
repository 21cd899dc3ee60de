/** What doctor says of a machine, and that this one is well. */
import { expect, test } from "vitest";
import { diagnose, type Surroundings } from "../../src/cli/doctor.js";
import { run } from "./support.js";

const well: Surroundings = {
  node: "22.1.0",
  oldestNode: "20.19",
  platform: "linux",
  arch: "x64",
  glibc: "2.36",
  runtime: { version: "1.30.0", hasBinary: true },
  web: undefined,
  testedRuntime: "1.30.0",
  telemetry: "1",
  memoryLimit: undefined,
};

test("a machine on which pergrad runs has nothing wrong", () => {
  for (const node of ["20.19.0", "20.19.6", "22.1.0", "100.0.0"])
    expect(diagnose({ ...well, node }).filter(({ ok }) => !ok)).toEqual([]);
});

test.each<[string, Partial<Surroundings>, RegExp]>([
  ["an old Node", { node: "20.9.0" }, /^Node 20\.9\.0 is too old; install 20\.19 or later\.$/],
  ["Alpine Linux", { glibc: undefined }, /no GNU C library.*; use an image with glibc/],
  ["no runtime", { runtime: undefined }, /not installed; run "npm install onnxruntime-node@1\.30\.0 --ignore-scripts"/],
  [
    "a platform without a binary",
    { arch: "s390x", runtime: { version: "1.30.0", hasBinary: false } },
    /linux s390x; use/,
  ],
  [
    "another runtime",
    { runtime: { version: "1.22.0", hasBinary: true } },
    /is 1\.22\.0, but pergrad was tested with 1\.30\.0/,
  ],
  ["usage events", { telemetry: "0" }, /may send usage events; set it to 1/],
  ["little memory", { memoryLimit: 256e6 }, /may use 0\.3 GB of memory; give it more/],
])("%s is the one thing that is wrong", (_, change, sentence) => {
  const wrong = diagnose({ ...well, ...change }).filter(({ ok }) => !ok);
  expect(wrong).toHaveLength(1);
  expect(wrong[0]?.text).toMatch(sentence);
});

test("a machine without the native runtime is well where the one for WebAssembly is installed", () => {
  for (const change of [{ runtime: undefined }, { glibc: undefined }]) {
    const findings = diagnose({ ...well, ...change, web: "1.30.0" });
    expect(findings.filter(({ ok }) => !ok)).toEqual([]);
    expect(findings.map(({ text }) => text).join()).toContain("onnxruntime-web 1.30.0, which is slower");
  }
});

test("the command prints a line for each, runs a program, and exits with 0", async () => {
  const { code, out, err } = await run("doctor");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^ok {4}Node \d/m);
  expect(out).toMatch(/^ok {4}A small program runs, in this thread and in a worker, and agrees with a loop/m);
});

test("the same as JSON", async () => {
  const { code, out } = await run("doctor", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ ok: true });
});
