import { nth } from "../../present.js";
import { copiesOf } from "../../tensor/data.js";
import type { Runtime } from "../runtime.js";
import type { Executable, LoadOptions, Running, Schedulable, ScheduleOptions } from "../target.js";
import { type Apart, type ApartSizes, computedApart } from "./apart.js";
import { stated } from "./faster.js";
import { lowMemoryOrder, typicalSamples } from "./order.js";
import { packedParameters } from "./packed.js";
import { areSmall, Handover, type HandoverMode } from "./results.js";
import { isApart, type Scheduled } from "./scheduled.js";
import { Sessions } from "./sessions.js";

/** @param runtime what it runs on, where it is given no worker threads */
export function executable(
  program: Schedulable,
  options: ScheduleOptions,
  sizes: ApartSizes,
  runtime: Runtime,
): Executable {
  const found = scheduled(program, options, sizes);
  return {
    memory: leastMemory(found),
    program: { inputs: found.inputs, outputs: found.outputs, order: found.order },
    notes: apartNote(found.apart),
    inSteps: (samples) => !runtime.atOnce || isApart(found, samples),
    load: (own) => {
      const lowMemory = own.lowMemory || options.weights >= sizes.weights;
      const holds = !lowMemory && options.weights < heldWeights;
      const parameters = holds ? (own.parameters ?? {}) : {};
      return load(found, runtime, { ...own, lowMemory, parameters });
    },
  };
}

/** Puts a program in order, and decides how its results are handed over. */
export function scheduled(
  { inputs, outputs }: Schedulable,
  { elsewhere, weights }: ScheduleOptions,
  sizes: ApartSizes,
): Scheduled {
  const large = !elsewhere && weights >= sizes.weights;
  const given = handedOver(outputs, elsewhere, large);
  const { handover } = given;
  const apart = large ? computedApart(handover.outputs, sizes, handover.allocated) : undefined;
  return { inputs, ...given, apart };
}

/**
 * Bytes of all weights up to which the runtime holds them in a copy of its own, packed for its products: above it the
 * memory matters more than the time. It cannot use those that JavaScript holds: what it is given it copies.
 */
const heldWeights = 2 ** 26;

/** Bytes below which a program, planned for the usual batch, is small: its outputs take as long as its operators. */
const smallProgram = 2 ** 20;

/**
 * @param elsewhere in a worker thread: then nothing that takes long is left to the thread that asks
 * @param large of a model with large weights, whose results stay single
 */
function handedOver(
  outputs: Schedulable["outputs"],
  elsewhere: boolean,
  large: boolean,
): Omit<Scheduled, "apart" | "inputs"> {
  const how = (mode: HandoverMode) => {
    const handover = new Handover(outputs, mode);
    const values = stated(handover.outputs.map(({ value }) => value));
    const given = handover.outputs.map(({ name }, k) => ({ name, value: nth(values, k) }));
    return { handover, outputs: given, ...lowMemoryOrder(values, handover.allocated) };
  };
  const apart = how(elsewhere ? "whole" : "rows");
  const small = !large && apart.memory.at(typicalSamples) < smallProgram;
  return small && areSmall(outputs) ? how("together") : apart;
}

function leastMemory({ apart, memory }: Scheduled): Executable["memory"] {
  return {
    moments: memory.moments,
    at: (samples) => Math.min(memory.at(samples), apart?.memory.at(samples) ?? Number.POSITIVE_INFINITY),
  };
}

function apartNote(apart: Apart | undefined): string[] {
  if (!apart) return [];
  const { length } = apart.tails;
  const sums = length === 1 ? "1 large sum is" : `${length} large sums are`;
  return [`${sums} computed separately, one after another, in batches for which that takes less memory.`];
}

/**
 * Of a model with large weights, as within a budget, the runtime keeps no memory in reserve: the reserve would be as
 * large again as what a run needs, and the time that it saves does not count beside such products.
 */
async function load(
  program: Scheduled,
  runtime: Runtime,
  { threads, lowMemory = false, workers = false, parameters = {}, execution }: LoadOptions,
): Promise<Running> {
  const options = {
    ...(threads === undefined ? {} : { threads }),
    ...(execution === undefined ? {} : { execution }),
    reserve: !lowMemory,
  };
  const outputs = program.outputs.map(({ value }) => value);
  const held = copiesOf(packedParameters(outputs, parameters));
  if (workers === false) return Sessions.load(program, runtime, options, held);
  if (typeof workers === "object") return Sessions.load(program, workers, options, held);
  const { loadInThreads } = await import("./own-threads.js");
  if (workers === true) return loadInThreads(program, options, held, 1);
  // Several threads share the cores: each has one unless told otherwise.
  return loadInThreads(program, { threads: 1, ...options }, held, workers);
}
