/**
 * ONNX Runtime's WebGPU kernels, as a target: ONNX Runtime as elsewhere, with a graph that leaves little to its CPU
 * kernels.
 */
import { PergradError } from "../../errors.js";
import { isBody } from "../../graph/body.js";
import { describeNode, type Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import type { EncodableProgram } from "../../onnx/write/encode.js";
import { simplifyFor } from "../../optimise/simplify.js";
import { usualApartSizes } from "../onnxruntime/apart.js";
import { here } from "../onnxruntime/here.js";
import { onnxruntimeWith } from "../onnxruntime/index.js";
import type { Session } from "../runtime.js";
import { samplesIn } from "../samples-in.js";
import type { AdaptOptions, Executable, Running, Schedulable, Target, Tensors } from "../target.js";
import { notesOn } from "./placement.js";
import { onGpu } from "./rules.js";
import { type Feed, inInt32 } from "./whole-numbers.js";

/**
 * The target underneath, with this runtime. No result is computed separately: that would only save memory of the CPU.
 */
const base = onnxruntimeWith({ ...usualApartSizes, weights: Number.POSITIVE_INFINITY }, here);

function adapted<T extends Schedulable>(program: T, options: AdaptOptions = {}): T {
  const own = base.adapt(program, options);
  const values = own.outputs.map(({ value }) => value);
  const after = simplifyFor(onGpu, values, options.onRewrite);
  if (after.every((value, k) => value === values[k])) return own;
  return { ...own, outputs: own.outputs.map((output, k) => ({ ...output, value: after[k] ?? output.value })) };
}

export const webgpu: Target = {
  name: "webgpu",
  get version() {
    return `${base.version} (WebGPU)`;
  },
  get mostMemory() {
    return base.mostMemory;
  },
  atOnce: false,
  elsewhere: base.elsewhere,
  readElsewhere: base.readElsewhere,
  // Its MaxPool does not return where the maxima are.
  prices: { ...base.prices, notedMaximum: Number.POSITIVE_INFINITY },
  order: base.order,
  ready: base.ready,
  adapt: adapted,
  schedule: (program, options) => {
    const own = inInt32(adapted(program, options));
    const executable = base.schedule(own, options);
    const { outputs } = executable.program;
    return {
      ...executable,
      notes: [...executable.notes, ...notesOn(outputs.map(({ value }) => value))],
      load: async (settings) => {
        await requireGpu(outputs);
        return fed(await executable.load(settings), own.feeds);
      },
    } satisfies Executable;
  },
  open: async (file, options) => {
    await requireGpu([]);
    return base.open(file, options);
  },
  load: async (program, options) => {
    await base.ready();
    const own = inInt32(adapted(program));
    await requireGpu(own.outputs);
    const session = await base.load({ ...program, ...own }, options);
    return fedSession(session, program, own.feeds);
  },
};

function given(feeds: Tensors, made: ReadonlyMap<string, Feed>, samples: number): Tensors {
  return { ...feeds, ...Object.fromEntries([...made].map(([name, make]) => [name, make(feeds, samples)])) };
}

function fed(running: Running, made: ReadonlyMap<string, Feed>): Running {
  return {
    held: running.held,
    isReady: (feeds, samples) => running.isReady(feeds, samples),
    run: async (feeds, samples, seen) => running.run(given(feeds, made, samples), samples, seen),
    release: () => running.release(),
  };
}

function fedSession(session: Session, { inputs }: EncodableProgram, made: ReadonlyMap<string, Feed>): Session {
  return {
    run: async (feeds, seen) => session.run(given(feeds, made, samplesIn(inputs, feeds) ?? 0), seen),
    release: () => session.release(),
  };
}

/** The part of a browser's WebGPU that is used. */
interface Adapter {
  readonly features: { has(feature: string): boolean };
}

interface Gpu {
  requestAdapter(): Promise<Adapter | null>;
}
/** Older versions of Node have none. */
declare const navigator: { readonly gpu?: Gpu } | undefined;

/** Throws RUNTIME if there is no GPU, or none that can compute a graph. */
async function requireGpu(outputs: Schedulable["outputs"]): Promise<void> {
  const gpu = typeof navigator === "undefined" ? undefined : navigator.gpu;
  const adapter = await gpu?.requestAdapter();
  if (!adapter)
    throw new PergradError(
      "RUNTIME",
      'WebGPU is not available here; import "pergrad" in place of "pergrad/webgpu" to compute in WebAssembly.',
    );
  const pool = nodesBefore(outputs.map(({ value }) => value)).find(
    ({ op, outputs: { length } }) => op === "MaxPool" && length > 1,
  );
  if (pool)
    throw new PergradError(
      "RUNTIME",
      `${describeNode(pool)} returns the indices of the maxima, which WebGPU cannot do; import "pergrad" in place of "pergrad/webgpu".`,
    );
  const half = halfIn(outputs.map(({ value }) => value));
  if (half && !adapter.features.has("shader-f16"))
    throw new PergradError(
      "RUNTIME",
      `This GPU lacks "shader-f16", but ${half} is float16; leave out \`storage: "float16"\`, or import "pergrad" in place of "pergrad/webgpu".`,
    );
}

/** A float16 value, for a message; undefined if there is none. */
function halfIn(values: readonly Value[]): string | undefined {
  for (const { outputs, attributes, op } of nodesBefore(values)) {
    if (outputs.some(({ dtype }) => dtype === "float16")) return `a result of ${op}`;
    for (const body of Object.values(attributes).filter(isBody)) {
      const inside = halfIn(body.outputs);
      if (inside) return inside;
    }
  }
  return undefined;
}
