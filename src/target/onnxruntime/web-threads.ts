/**
 * Web Workers read models and compile, so that the page stays free and all memory of a compile is returned when they
 * end.
 */
import { nth } from "../../present.js";
import { unlessAborted } from "../signals.js";
import type { CompiledElsewhere, Elsewhere, ReadElsewhere } from "../target.js";
import { Lanes } from "./lanes.js";
import { Workers } from "./workers.js";

export const compileInThreads: Elsewhere = async (task, { workers, signal, onStage }) => {
  if (typeof workers === "number") return inOwn(task, workers, signal, onStage);
  return workers instanceof Workers ? workers.compile(task, signal, onStage) : null;
};

export const readInThread: ReadElsewhere = async (task, { workers, signal }) => {
  if (typeof workers === "object") return workers instanceof Workers ? workers.read(task, signal) : null;
  const own = new Workers();
  try {
    return await unlessAborted(own.read(task), signal);
  } finally {
    await own.release();
  }
};

/** In `count` threads of the program's own, each of which compiles it. */
async function inOwn(
  task: object,
  count: number,
  signal: AbortSignal | undefined,
  onStage: ((stage: string) => void) | undefined,
): Promise<CompiledElsewhere> {
  const own = new Workers({ count });
  try {
    // All of them compile the same program: the first one reports progress.
    const compiling = Array.from({ length: count }, (_, k) =>
      own.compile(task, undefined, k === 0 ? onStage : undefined),
    );
    const compiled = await unlessAborted(Promise.all(compiling), signal);
    const lanes = new Lanes(compiled.map(({ running }) => running));
    return {
      told: nth(compiled, 0).told,
      running: {
        held: lanes.held,
        lanes: lanes.lanes,
        isReady: () => true,
        run: (feeds, samples, seen) => lanes.run(feeds, samples, seen),
        // Ends the threads at once, and frees all that they hold.
        release: async () => {
          await Promise.all([lanes.release(), own.release()]);
        },
      },
    };
  } catch (error) {
    await own.release();
    throw error;
  }
}
