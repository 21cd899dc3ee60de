import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readLedger } from "../../src/privacy/ledger.js";
import { random } from "../../src/tensor/random.js";
import { readState } from "../../src/train/state-file.js";
import type { TrainerState } from "../../src/train/types.js";
import { temporaryFolder } from "../support/folder.js";

/** Runs the training and kills it with SIGKILL so many milliseconds after its n-th step. Returns the steps that it told. */
function lifeOf(
  folder: string,
  life: { resume: boolean; steps: number; kill?: { after: number; wait: number } },
): Promise<number[]> {
  const args = [join(import.meta.dirname, "killed-run.mjs"), folder, life.resume ? "resume" : "begin", `${life.steps}`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  let dying = false;
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  child.stdout.on("data", (chunk) => {
    out += chunk;
    if (!life.kill || dying || out.split("\n").length <= life.kill.after) return;
    dying = true;
    setTimeout(() => child.kill("SIGKILL"), life.kill.wait);
  });
  return new Promise((resolve, reject) => {
    child.on("close", (code, signal) => {
      if (code === 0 || signal === "SIGKILL") resolve(out.split("\n").slice(0, -1).map(Number));
      else reject(new Error(err));
    });
  });
}

it("a training that is killed anywhere has recorded every step it told, and goes on from a checkpoint", async () => {
  const folder = join(temporaryFolder(), "run");
  const steps = 4000;
  const source = random(Number(process.env.PERGRAD_SEED ?? 1));
  let told = 0;
  for (let life = 0; life < 3; life++) {
    const kill = { after: Math.floor(source.uniform(1, 60)), wait: source.uniform(0, 20) };
    const seen = await lifeOf(folder, { resume: life > 0, steps, kill });
    told += seen.length;
    expect(seen.at(-1)).toBeLessThan(steps);
    expect((await readLedger(join(folder, "ledger"))).length).toBeGreaterThanOrEqual(told);
    const { state } = (await readState(join(folder, "checkpoint.safetensors"))) as { state: TrainerState<unknown> };
    // At most the steps since the last checkpoint are lost, one of them perhaps under way.
    expect(state.steps).toBeGreaterThanOrEqual(Math.floor((seen.at(-1) ?? 0) / 7) * 7);
  }
  const { state } = (await readState(join(folder, "checkpoint.safetensors"))) as { state: TrainerState<unknown> };
  const end = state.steps + 20;
  const seen = await lifeOf(folder, { resume: true, steps: end });
  expect(seen).toEqual(Array.from({ length: 20 }, (_, k) => state.steps + 1 + k));
  expect((await readLedger(join(folder, "ledger"))).length).toBeGreaterThanOrEqual(told + 20);
}, 120_000);
