/** Runs one program of a large model in a process of its own (large.ts starts it); prints its time and the process's peak memory. */
import { setTimeout as sleep } from "node:timers/promises";
import { perSample, type Wants } from "../src/index.js";
import { gpt2 } from "./gpt2.js";
import { type LargeMeasured, type LargeRequest, largeWants } from "./large.js";
import { peakResident } from "./resident.js";

const runs = 2;

/** Frees a run's results: the garbage collector finds them once nothing on the stack refers to them. */
async function collect(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await sleep(5);
    globalThis.gc?.();
  }
}

async function measure(asked: LargeRequest): Promise<LargeMeasured> {
  const { model: name, program: wanted, samples, positions, budget } = asked;
  const start = performance.now();
  const { model, data, loss } = gpt2(name, samples, positions);
  const initialised = performance.now();
  const weights = Object.values(model.parameters).reduce((sum, { data: own }) => sum + own.byteLength, 0);
  const program = await perSample<Wants>(model, {
    loss,
    want: largeWants[wanted](),
    ...(budget === undefined ? {} : { memoryBudget: budget }),
  });
  const compiled = performance.now();
  const times: number[] = [];
  for (let k = 0; k < runs; k++) {
    const before = performance.now();
    await program.run(data);
    times.push(performance.now() - before);
    await collect();
  }
  await program.release();
  return {
    ...asked,
    weights,
    initialise: initialised - start,
    compile: compiled - initialised,
    run: Math.min(...times),
    peak: peakResident(),
  };
}

const [, , asked] = process.argv;
if (asked !== undefined) process.stdout.write(JSON.stringify(await measure(JSON.parse(asked) as LargeRequest)));
