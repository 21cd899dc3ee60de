/** Indexes a workload's batch, or computes its norms, in a process of its own (index-memory.ts starts it), and prints its peak memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attribution, perSample, want } from "../src/index.js";
import { indexedDims } from "./attribution.js";
import { peakResident, resetPeak } from "./resident.js";
import { makeWorkload, type Workload, workloads } from "./workloads.js";

async function indexed({ model, data, loss }: Workload): Promise<void> {
  const out = mkdtempSync(join(tmpdir(), "pergrad-bench-"));
  try {
    const index = await attribution.index(model, data, { loss, method: "gradDot", dims: indexedDims, out });
    await index.release();
  } finally {
    rmSync(out, { recursive: true });
  }
}

async function norms({ model, data, loss }: Workload): Promise<void> {
  const program = await perSample(model, { loss, want: { norms: want.norms() } });
  await program.run(data);
  await program.release();
}

const [id = "", what = ""] = process.argv.slice(2);
const spec = workloads.find((each) => each.id === id);
if (!spec) throw new RangeError(`there is no workload ${id}`);
const workload = makeWorkload(spec);
const before = process.memoryUsage.rss();
resetPeak();
await (what === "index" ? indexed(workload) : norms(workload));
const peak = peakResident();
if (process.connected) process.send?.({ peak, rise: peak - before });
