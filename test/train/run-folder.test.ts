import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { GaussianMechanism } from "../../src/privacy/mechanism.js";
import { tensor } from "../../src/tensor/tensor.js";
import { RunFolder } from "../../src/train/run-folder.js";
import type { TrainerState } from "../../src/train/types.js";
import { temporaryFolder } from "../support/folder.js";

const settings = { "batch size": 32, "noise multiplier": 1.25 };
const step: GaussianMechanism = { kind: "gaussian", noiseMultiplier: 1.25, samplingRate: 0.01, steps: 1 };

const stateAfter = (steps: number): TrainerState<{ readonly velocity: Float32Array }> => ({
  steps,
  parameters: { w: tensor("float32", [2], Float32Array.of(steps, -steps)) },
  optimizer: { velocity: Float32Array.of(steps / 3) },
  ledger: steps === 0 ? [] : [{ ...step, steps }],
  recorded: steps,
  maxNorm: null,
  order: 7,
  seed: null,
});

/** A run of five steps, whose last checkpoint is after the third. */
async function killed(path: string): Promise<void> {
  const folder = await RunFolder.begin(path, settings, stateAfter(0));
  for (let k = 1; k <= 5; k++) {
    await folder.record(step);
    if (k === 3) await folder.save(stateAfter(3));
  }
  await folder.close();
}

describe("the folder of a run", () => {
  it("goes on from the last checkpoint, with the budget of the steps after it counted", async () => {
    const path = join(temporaryFolder(), "run");
    await killed(path);
    const { folder, state } = await RunFolder.resume(path, settings);
    expect(state).toEqual({ ...stateAfter(3), ledger: [{ ...step, steps: 5 }], recorded: 5 });
    await folder.record({ ...step, noiseMultiplier: 2 });
    await folder.close();
    const again = await RunFolder.resume(path, settings);
    await again.folder.close();
    expect(again.state.ledger).toEqual([
      { ...step, steps: 5 },
      { ...step, noiseMultiplier: 2 },
    ]);
  });

  it("goes on from the start where no step was recorded, even without a ledger", async () => {
    const path = temporaryFolder();
    await (await RunFolder.begin(path, settings, stateAfter(0))).close();
    rmSync(join(path, "ledger"));
    const { folder, state } = await RunFolder.resume(path, settings);
    expect(state).toEqual(stateAfter(0));
    await folder.record(step);
    await folder.close();
  });

  it("is not begun twice", async () => {
    const path = temporaryFolder();
    await killed(path);
    await expect(RunFolder.begin(path, settings, stateAfter(0))).rejects.toThrow("holds one already: resume it");
    rmSync(join(path, "checkpoint.safetensors"));
    await expect(RunFolder.begin(path, settings, stateAfter(0))).rejects.toThrow("holds one already: resume it");
  });

  it("refuses a ledger that knows less than the checkpoint", async () => {
    const path = temporaryFolder();
    await killed(path);
    truncateSync(join(path, "ledger"), 200);
    await expect(RunFolder.resume(path, settings)).rejects.toThrow("but the checkpoint had spent 3");
    rmSync(join(path, "ledger"));
    await expect(RunFolder.resume(path, settings)).rejects.toThrow("what the run has spent is not known");
  });

  it("refuses other settings, and files of another kind", async () => {
    const path = temporaryFolder();
    await killed(path);
    const other = RunFolder.resume(path, { ...settings, "batch size": 64 });
    await expect(other).rejects.toThrow("was begun with the batch size 32, not 64");
    await expect(RunFolder.resume(path, { "batch size": 32 })).rejects.toThrow("noise multiplier 1.25, not left out");
    writeFileSync(join(path, "checkpoint.safetensors"), "x");
    await expect(RunFolder.resume(path, settings)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(RunFolder.resume(join(path, "none"), settings)).rejects.toThrow("does not exist");
  });

  it("is one process's at a time, until that closes it or dies", async () => {
    const path = temporaryFolder();
    const lock = join(path, "lock");
    const first = await RunFolder.begin(path, settings, stateAfter(0));
    const refused = { code: "FILE_UNWRITABLE", message: expect.stringContaining(`in use by process ${process.pid}`) };
    await expect(RunFolder.resume(path, settings)).rejects.toMatchObject(refused);
    await expect(RunFolder.begin(path, settings, stateAfter(0))).rejects.toMatchObject(refused);
    await first.close();
    expect(existsSync(lock)).toBe(false);

    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    // The second is what an earlier process of this one's number has left.
    for (const left of [`${dead} 1`, `${process.pid} 1`]) {
      writeFileSync(lock, left);
      const { folder } = await RunFolder.resume(path, settings);
      expect(readFileSync(lock, "utf8")).not.toBe(left);
      await folder.close();
    }
    expect(readdirSync(path).sort()).toEqual(["checkpoint.safetensors", "ledger"]);

    for (const held of [`${process.ppid} 1`, ""]) {
      writeFileSync(lock, held);
      await expect(RunFolder.resume(path, settings)).rejects.toThrow("folder is in use by");
      expect(readFileSync(lock, "utf8")).toBe(held);
    }
  });

  it("is free again after an attempt that failed", async () => {
    const path = temporaryFolder();
    await killed(path);
    await expect(RunFolder.resume(path, {})).rejects.toThrow("resume it with the same options");
    await expect(RunFolder.begin(path, settings, stateAfter(0))).rejects.toThrow("holds one already");
    expect(existsSync(join(path, "lock"))).toBe(false);
  });

  it("of an ordinary run goes on with its steps counted as steps without noise", async () => {
    const path = temporaryFolder();
    const state = { ...stateAfter(3), ledger: [{ ...step, noiseMultiplier: 0, samplingRate: 1, steps: 3 }] };
    const begun = await RunFolder.begin(path, settings, stateAfter(0));
    await begun.save(state);
    await begun.close();
    const resumed = await RunFolder.resume(path, settings);
    await resumed.folder.close();
    expect(resumed.state).toEqual(state);
  });

  it("cannot be begun below a file", async () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const begun = RunFolder.begin(join(file, "run"), settings, stateAfter(0));
    await expect(begun).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
  });
});
