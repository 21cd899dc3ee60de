/** Which runtime is taken: the first that is installed and can be loaded, else an error that says what to install. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { FirstInstalled } from "../../src/target/onnxruntime/first-installed.js";
import type { ProfiledRuntime } from "../../src/target/target.js";
import { temporaryFolder } from "../support/folder.js";

const there = (version: string): ProfiledRuntime => ({
  version,
  atOnce: true,
  load: () => Promise.reject(new Error(version)),
});

const failing = (message: string, code?: string): ProfiledRuntime => ({
  get version(): string {
    throw Object.assign(new Error(message), { code });
  },
  atOnce: true,
  load: () => Promise.reject(new Error(message)),
});

const absent = failing("Cannot find module", "MODULE_NOT_FOUND");

describe("the first installed runtime", () => {
  it("is the first where all are there, and the next where it is not or cannot be loaded", async () => {
    expect(
      new FirstInstalled([
        ["a", there("a 1")],
        ["b", there("b 1")],
      ]).version,
    ).toBe("a 1");
    expect(
      new FirstInstalled([
        ["a", absent],
        ["b", there("b 1")],
      ]).version,
    ).toBe("b 1");
    const other = new FirstInstalled([
      ["a", failing("no such library", "ERR_DLOPEN_FAILED")],
      ["b", there("b 1")],
    ]);
    await expect(other.load(Uint8Array.of())).rejects.toThrow("b 1");
  });

  it("is an error that says what to install where there is none", async () => {
    const none = new FirstInstalled([
      ["a", failing("wrong ELF class.\nmore", "ERR_DLOPEN_FAILED")],
      ["b", absent],
    ]);
    const message =
      'There is no runtime: a cannot be loaded (wrong ELF class), and b is not installed; run "npm install a" or "npm install b".';
    expect(() => none.version).toThrow(expect.objectContaining({ code: "RUNTIME", message }));
    await expect(none.load(Uint8Array.of())).rejects.toThrow(message);
  });
});

/** Runs a program in a process of its own in which packages are not installed. */
function versionWithout(packages: readonly string[], entry: string): string {
  const folder = temporaryFolder();
  const hook = join(folder, "hook.cjs");
  writeFileSync(
    hook,
    `const { Module } = require("node:module");
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...others) {
  if (${JSON.stringify(packages)}.some((each) => name === each || name.startsWith(each + "/")))
    throw Object.assign(new Error("Cannot find module '" + name + "'"), { code: "MODULE_NOT_FOUND" });
  return resolve.call(this, name, ...others);
};`,
  );
  const script = `
import { losses, nn, perSample, want } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../dist", entry)).href)};
const model = nn.model(nn.sequential(nn.linear(3, 2)), { seed: 1 });
const workers = process.argv.includes("workers");
try {
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() }, workers });
  const { norms } = await program.run({ x: new Float32Array(6).fill(1), target: [0, 1] });
  const [, version] = Buffer.from(program.encode()).toString("latin1").match(/(onnxruntime-\\w+) \\d/);
  console.log(version, norms.total.data.length);
  await program.release();
} catch (error) {
  console.log(error.code, error.message);
}`;
  const file = join(folder, "program.mjs");
  writeFileSync(file, script);
  return execFileSync(process.execPath, ["--require", hook, file], { encoding: "utf8" }).trim();
}

describe("a program in Node", () => {
  const node = "onnxruntime-node";
  const web = "onnxruntime-web";
  const index = "src/index.js";

  it("runs on onnxruntime-node where it is installed, else on onnxruntime-web", () => {
    expect(versionWithout([], index)).toBe("onnxruntime-node 2");
    expect(versionWithout([node], index)).toBe("onnxruntime-web 2");
  });

  it("says what to install where neither is", () => {
    const told = versionWithout([node, web], index);
    expect(told).toMatch(
      /^RUNTIME There is no runtime: .*npm install onnxruntime-node" or "npm install onnxruntime-web"\.$/,
    );
  });
});
