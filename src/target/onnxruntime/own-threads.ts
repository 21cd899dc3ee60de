/** Programs in worker threads of their own. */
import type { RuntimeOptions } from "../runtime.js";
import type { Running, Tensors } from "../target.js";
import { Lanes } from "./lanes.js";
import type { Scheduled } from "./scheduled.js";
import { Sessions } from "./sessions.js";
import { Workers } from "./workers.js";

/** Loads a program into `count` threads of its own, which end with it. */
export async function loadInThreads(
  program: Scheduled,
  options: RuntimeOptions,
  held: Tensors,
  count: number,
): Promise<Running> {
  const own = new Workers({ count });
  try {
    // The pool loads each copy into the thread that holds the fewest.
    const loading = Array.from({ length: count }, () => Sessions.load(program, own, options, held));
    const lanes = new Lanes(await Promise.all(loading));
    return {
      held: lanes.held,
      lanes: lanes.lanes,
      isReady: (feeds, samples) => lanes.isReady(feeds, samples),
      run: (feeds, samples, seen) => lanes.run(feeds, samples, seen),
      release: () => lanes.release().then(() => own.release()),
    };
  } catch (error) {
    await own.release();
    throw error;
  }
}
