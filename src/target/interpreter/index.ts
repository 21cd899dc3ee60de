/**
 * The float64 interpreter as a target. It is slow, and exact to float64 except where a program computes in float32's
 * manner. It shows that nothing outside a target knows which runtime there is, and it runs without any runtime
 * installed.
 */

import { PergradError } from "../../errors.js";
import { addBytes, bytesOfValue, MemoryUse } from "../../graph/bytes.js";
import { bindShape } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import { leavesOf, nodesBefore } from "../../graph/walk.js";
import { evaluateGraph, toArray64 } from "../../interpret/evaluate.js";
import { usualPrices } from "../../ops/prices.js";
import { numberArrayOf, type Tensor, tensorWith } from "../../tensor/tensor.js";
import type { Session } from "../runtime.js";
import { samplesIn } from "../samples-in.js";
import type { Executable, Running, Schedulable, Target, Tensors } from "../target.js";

export const interpreter: Target = {
  name: "interpreter",
  version: "float64 interpreter",
  atOnce: true,
  prices: usualPrices,
  order: (results) => results,
  ready: async () => undefined,
  adapt: (program) => program,
  schedule: (program) => executable(program),
  load: async (program) => sessionOf(program),
  open: () =>
    Promise.reject(new PergradError("RUNTIME", "The interpreter opens no files; open the program with ONNX Runtime.")),
};

function executable(program: Schedulable): Executable {
  return {
    memory: everyValue(program),
    program,
    notes: [],
    inSteps: () => false,
    load: async () => running(program),
  };
}

function running(program: Schedulable): Running {
  return {
    held: new Set(),
    isReady: () => true,
    run: async (feeds, samples, seen) => {
      const results = evaluated(program, feeds, samples);
      seen?.(results);
      return results;
    },
    release: async () => {},
  };
}

function sessionOf(program: Schedulable): Session {
  return {
    run: async (feeds) => evaluated(program, feeds, samplesIn(program.inputs, feeds) ?? 0),
    release: async () => {},
  };
}

function evaluated({ inputs, outputs }: Schedulable, feeds: Tensors, samples: number): Record<string, Tensor> {
  const given = inputs.flatMap((input) => {
    const tensor = feeds[input.name];
    return tensor ? [[input, toArray64(tensor)] as const] : [];
  });
  const found = evaluateGraph(
    outputs.map(({ value }) => value),
    new Map(given),
    samples,
  );
  return Object.fromEntries(outputs.map(({ name, value }, k) => [name, rounded(value, found[k]?.data, samples)]));
}

/** Rounded to the program's dtype. */
function rounded({ dtype, shape }: Value, data: Float64Array = new Float64Array(), samples: number): Tensor {
  if (dtype === "float16")
    throw new PergradError("UNSUPPORTED_OP", "The interpreter gives no float16 results; leave `storage` out.");
  const dims = bindShape(shape, samples);
  const whole = dtype === "int64" || dtype === "uint64";
  const elements = whole ? BigInt64Array.from(data, BigInt) : numberArrayOf(dtype).from(data);
  return tensorWith(dtype, dims, elements);
}

/** The memory of all values together: none is freed before the end. */
function everyValue({ outputs }: Schedulable): MemoryUse {
  const values = outputs.map(({ value }) => value);
  const made = nodesBefore(values).flatMap((node) => node.outputs);
  const all = [...leavesOf(values), ...made].map((value) => bytesOfValue(value));
  return new MemoryUse([addBytes(all)]);
}
