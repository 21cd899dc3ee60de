import { fork } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const script = join(import.meta.dirname, "memory-process.mjs");

/** What is freed goes back to the system at once, so that it counts only while it is alive. */
const allocator = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "65536",
  MALLOC_TOP_PAD_: "0",
};

interface Measured {
  readonly peak: number;
  readonly estimate: number;
}

function measure(model: string, wanted: string): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...allocator };
    const child = fork(script, [model, wanted], { execArgv: ["--expose-gc"], env });
    let told: Measured | undefined;
    child.on("message", (message) => {
      told = message as Measured;
    });
    child.on("error", reject);
    child.on("exit", (code) => (told ? resolve(told) : reject(new Error(`${model} ended with exit code ${code}`))));
  });
}

/** Why the peak cannot be measured here. */
function obstacle(): string | undefined {
  if (!existsSync(join(import.meta.dirname, "../../dist/src/index.js"))) return "the package is not built";
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return existsSync("/proc/self/status") ? undefined : "the system tells no peak";
  } catch {
    return "the system lets no peak be measured anew";
  }
}

const cases = [
  ["mlp", "clipped"],
  ["mlp", "gradients"],
  ["cnn", "clipped"],
  ["cnn", "gradients"],
  ["images", "clipped"],
  ["images", "gradients"],
  ["lstm", "clipped"],
  ["transformer", "clipped"],
] as const;

describe("the estimate of a run's memory", () => {
  const why = obstacle();
  for (const [model, wanted] of cases) {
    it(`is within 30% of the process's real peak: ${model}, ${wanted}`, async ({ skip }) => {
      if (why) skip(why);
      const { peak, estimate } = await measure(model, wanted);
      const what = `${(peak / 1e6).toFixed(1)} MB measured, ${(estimate / 1e6).toFixed(1)} MB estimated`;
      expect(Math.abs(estimate - peak), what).toBeLessThanOrEqual(0.3 * peak);
    });
  }
});
