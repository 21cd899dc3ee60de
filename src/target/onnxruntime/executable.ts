import type { Value } from "../../graph/value.js";
import { nth } from "../../present.js";
import { copiesOf } from "../../tensor/data.js";
import type { Runtime } from "../runtime.js";
import type { Executable, LoadOptions, Running, Schedulable, ScheduleOptions } from "../target.js";
import { type Apart, type ApartSizes, computedApart } from "./apart.js";
import { stated } from "./faster.js";
import { lowMemoryOrder, typicalSamples } from "./order.js";
import { packedParameters } from "./packed.js";
import { areSmall, Handover, type HandoverMode } from "./results.js";
import { isApart, memoryAt, type Scheduled } from "./scheduled.js";
import { Sessions } from "./sessions.js";

/** @param runtime what it runs on, unless it is given worker threads */
export function executable(
  program: Schedulable,
  options: ScheduleOptions,
  sizes: ApartSizes,
  runtime: Runtime,
): Executable {
  const searched = options.searched === true && runtime.atOnce;
  const finite = runtime.atOnce && !options.notFiniteInputs ? program.inputs : [];
  const found = scheduled(program, { ...options, searched, finite }, sizes);
  return {
    memory: { moments: found.memory.moments, at: (samples) => memoryAt(found, samples) },
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

interface OwnScheduleOptions extends ScheduleOptions {
  /** The inputs whose elements must be finite. Default: none. */
  readonly finite?: readonly Value[];
}

/** Orders a program, and decides how its results are returned. */
export function scheduled(
  { inputs, outputs }: Schedulable,
  { elsewhere, weights, searched = false, lowMemory = false, finite = [] }: OwnScheduleOptions,
  sizes: ApartSizes,
): Scheduled {
  const large = !elsewhere && weights >= sizes.weights;
  const looked = large ? { searched: false, finite: [] } : { searched, finite };
  const given = handedOver(outputs, elsewhere, large, looked);
  const { handover } = given;
  const apart = large ? computedApart(handover.outputs, sizes, handover.allocated) : undefined;
  return { inputs, ...given, apart, lowMemory };
}

/**
 * The runtime holds weights of up to this many bytes in a copy of its own, packed for its products: above it, memory
 * matters more than time. It cannot use the arrays that JavaScript holds, since it copies what it is given.
 */
const heldWeights = 2 ** 26;

/**
 * A program that takes fewer bytes than this, for the batch size it was planned for, is small: its outputs take as long
 * as its operators.
 */
const smallProgram = 2 ** 20;

/**
 * @param elsewhere whether it runs in a worker thread: then no lengthy work is left to the calling thread
 * @param large whether the model has large weights: then results stay single outputs
 * @param looked whether all results are searched for numbers that are not finite, and the inputs that are
 */
function handedOver(
  outputs: Schedulable["outputs"],
  elsewhere: boolean,
  large: boolean,
  { searched, finite }: { readonly searched: boolean; readonly finite: readonly Value[] },
): Omit<Scheduled, "apart" | "inputs" | "lowMemory"> {
  const how = (mode: HandoverMode) => {
    const handover = new Handover(outputs, mode, searched, finite);
    const values = stated(handover.outputs.map(({ value }) => value));
    const given = handover.outputs.map(({ name }, k) => ({ name, value: nth(values, k) }));
    return { handover, outputs: given, ...lowMemoryOrder(values, handover.allocated) };
  };
  const apart = how(elsewhere ? "whole" : "rows");
  const small = !large && apart.memory.at(typicalSamples) < smallProgram;
  return small && areSmall(outputs) ? how("together") : apart;
}

function apartNote(apart: Apart | undefined): string[] {
  if (!apart) return [];
  const { length } = apart.tails;
  const sums = length === 1 ? "1 large sum is" : `${length} large sums are`;
  return [`${sums} computed separately, one after another, in batches for which that saves enough memory.`];
}

/**
 * With large weights, as under a memory budget, the runtime keeps no memory in reserve: the reserve would be as large
 * again as what a run needs, and the time it saves does not count beside such large products.
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
  // Several workers share the cores: each has one thread unless told otherwise.
  return loadInThreads(program, { threads: 1, ...options }, held, workers);
}
