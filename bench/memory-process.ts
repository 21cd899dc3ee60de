/**
 * One program's peak memory, in a process of its own (memory.ts starts it): how far resident memory rises, in runs of a
 * batch, above its value just before the first of them.
 *
 * By then the process holds what runs do not add: code, the compiled graph, the loaded session, the parameters and the
 * inputs (both are fed in place and are the same for every program). Everything else counts: activations, cotangents,
 * scratch memory, the results and their copies in JavaScript. Code pages, the threads' stacks and the matrix product's
 * packing buffers are also touched at the first run. They are the same few megabytes for every program, and random, so
 * the process has already run the batch once, in a session that was released.
 *
 * ONNX Runtime allocates memory in blocks that double in size. From a batch size's second run on, it also allocates one
 * block that it has planned for all intermediates, besides the blocks that the first run left. Which blocks are reused
 * is a matter of chance near powers of two (it depends on the order of the sizes, not on their sum). Memory is
 * therefore measured in two ways: "needed", where each tensor is allocated and freed separately, is what the program
 * has alive at once; "arena" is what the process takes with the runtime's own settings, with which programs run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { perSample } from "../src/index.js";
import { curvatureWants } from "./curvature.js";
import { compileProgram, programNames, runnerOf } from "./programs.js";
import { peakResident, resetPeak } from "./resident.js";
import { sessionsWith } from "./sessions.js";
import { makeWorkload, type Workload, workloads } from "./workloads.js";

const runs = 3;

/** Frees the last run's results: the garbage collector finds them once nothing on the stack refers to them. */
async function collect(): Promise<void> {
  if (!globalThis.gc) throw new Error("start with --expose-gc");
  for (let round = 0; round < 3; round++) {
    await sleep(5);
    globalThis.gc();
  }
}

/** The program with this name: one of the page, or one of second derivatives. */
async function started(workload: Workload, name: string) {
  const known = programNames.find((each) => each === name);
  if (known) {
    const program = await compileProgram(workload, known);
    return { program, run: runnerOf(known, workload, program) };
  }
  const { model, loss, data } = workload;
  const program = await perSample(model, { loss, want: curvatureWants(workload, name) });
  return { program, run: async () => void (await program.run(data)) };
}

async function measure(id: string, name: string): Promise<number> {
  const spec = workloads.find((each) => each.id === id);
  if (!spec) throw new RangeError(`there is no workload ${id}`);
  const workload = makeWorkload(spec);
  // If the peak cannot be reset, a first run would hide the peak of the others.
  if (resetPeak()) {
    const first = await started(workload, name);
    await first.run();
    await first.program.release();
  }
  const { program, run } = await started(workload, name);
  await collect();
  const before = process.memoryUsage.rss();
  resetPeak();
  for (let k = 0; k < runs; k++) {
    await run();
    await collect();
  }
  const peak = peakResident();
  await program.release();
  return peak - before;
}

const [id = "", name = "", allocation] = process.argv.slice(2);
const options = allocation === "needed" ? { enableCpuMemArena: false, enableMemPattern: false } : {};
const { result } = await sessionsWith(options, () => measure(id, name));
if (process.connected) process.send?.(result);
