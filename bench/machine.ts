/** The machine on which the measurements were made. */
import { createRequire } from "node:module";
import { cpus, loadavg } from "node:os";
import { matmulSpeed } from "./matmul.js";
import type { Machine } from "./results.js";

export function thisProcessor(): string {
  return cpus()[0]?.model.trim() ?? "unknown";
}

export async function thisMachine(seconds: number): Promise<Machine> {
  const load = loadavg()[0] ?? 0;
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  return {
    processor: thisProcessor(),
    cores: cpus().length,
    node: process.version,
    onnxruntime: version,
    load,
    matmul: await matmulSpeed(Math.min(2, seconds)),
  };
}
