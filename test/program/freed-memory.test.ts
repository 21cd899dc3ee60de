/** Runs take the memory of earlier results instead of memory that the system must first map and clear. */
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const script = join(import.meta.dirname, "freed-memory-process.mjs");

interface Told {
  /** Pages that were mapped for a run, on average. */
  readonly faults: number;
  /** Pages, of 4 KiB, that hold what a run writes. */
  readonly written: number;
}

function pages(env: NodeJS.ProcessEnv): Promise<Told> {
  return new Promise((resolve, reject) => {
    const child = fork(script, { env: { ...process.env, ...env } });
    let told: Told | undefined;
    child.on("message", (message) => {
      told = message as Told;
    });
    child.on("error", reject);
    child.on("exit", (code) => (told ? resolve(told) : reject(new Error(`the process ended with exit code ${code}`))));
  });
}

/** Why there is nothing to show here. */
function obstacle(): string | undefined {
  if (!existsSync(join(import.meta.dirname, "../../dist/src/index.js"))) return "the package is not built";
  const { header } = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime ? undefined : "the allocator is not glibc's";
}

it("hardly any pages are mapped for a run, unless the user has told the allocator what to give back", async ({
  skip,
}) => {
  const why = obstacle();
  if (why) skip(why);
  const { faults, written } = await pages({});
  expect(faults).toBeLessThan(written / 4);
  const told = await pages({ MALLOC_TRIM_THRESHOLD_: "65536", MALLOC_MMAP_THRESHOLD_: "65536" });
  expect(told.faults).toBeGreaterThan(written / 2);
});
