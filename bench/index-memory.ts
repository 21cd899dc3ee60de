/** Peak memory of indexing a batch beside that of computing its norms, each in a process of its own. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { indexedDims } from "./attribution.js";
import type { WorkloadSpec } from "./workloads.js";

/** Bytes. */
interface Peak {
  /** The peak of the whole process. */
  readonly peak: number;
  /** The peak above what the process held with the model and the data, before anything was compiled. */
  readonly rise: number;
}

const rounds = 3;
/** The target for the ratio of whole processes, at most. */
const most = 1.3;

function once(id: string, what: "index" | "norms"): Promise<Peak> {
  const file = fileURLToPath(new URL("index-memory-process.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(file, [id, what]);
    let told: Peak | undefined;
    child.on("message", (message) => {
      told = message as Peak;
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (told) resolve(told);
      else reject(new Error(`measuring the memory of "${what}" ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

/** The minimum over several processes: how much the garbage collector leaves for later is a matter of chance. */
async function least(id: string, what: "index" | "norms"): Promise<Peak> {
  const peaks: Peak[] = [];
  for (let round = 0; round < rounds; round++) peaks.push(await once(id, what));
  return {
    peak: Math.min(...peaks.map(({ peak }) => peak)),
    rise: Math.min(...peaks.map(({ rise }) => rise)),
  };
}

/** The results as a table in Markdown. */
export async function measureIndexMemory(specs: readonly WorkloadSpec[], told: (line: string) => void): Promise<void> {
  told(`| an index of ${indexedDims} numbers | peak, MB: norms | index | ratio | at most | rise, MB: norms | index |`);
  told("|---|---:|---:|---:|---:|---:|---:|");
  for (const { id, name } of specs) {
    const [norms, index] = [await least(id, "norms"), await least(id, "index")];
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
    const cells = [
      name,
      megabytes(norms.peak),
      megabytes(index.peak),
      (index.peak / norms.peak).toFixed(2),
      most,
      megabytes(norms.rise),
      megabytes(index.rise),
    ];
    told(`| ${cells.join(" | ")} |`);
  }
}
