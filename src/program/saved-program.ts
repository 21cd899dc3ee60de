/** Runs saved programs from their files, without compiling. */

import type { ModelProto } from "onnx-buf";
import type { Output } from "../compile/joining.js";
import { PergradError } from "../errors.js";
import { MemoryUse } from "../graph/bytes.js";
import { bindShape } from "../graph/dim.js";
import { withMissing } from "../missing.js";
import { asLoss, type LossName } from "../nn/as-loss.js";
import type { Loss, LossFunction } from "../nn/loss.js";
import { metadataOf, operatorsIn, parseModel } from "../onnx/proto.js";
import { parseFile, readModel } from "../onnx/read/model-file.js";
import { encodeModel } from "../onnx/write/encode.js";
import { InMemory } from "../onnx/write/external-data.js";
import { defaultTarget } from "../target/default.js";
import type { RuntimeOptions, Session } from "../target/runtime.js";
import type { Running, Target, Tensors } from "../target/target.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";
import { loadedWants } from "../wants/wanted.js";
import { HeldValues } from "./held.js";
import { checkMemoryOptions, type MemoryOptions } from "./microbatches.js";
import { type ReadForm, readForm } from "./read-form.js";
import { type RunnableParts, RunnableProgram } from "./runnable.js";
import { storedKey, unadaptedKey } from "./stored-form.js";

/** Options of `openProgram`. */
export interface OpenOptions<W extends Wants> extends MemoryOptions {
  /** The wants with which the program was compiled, under the same names: they read its results. */
  readonly want: W;
  /** The loss with which it was compiled: it checks targets. */
  readonly loss: Loss | LossFunction | LossName;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
}

/** A program from a file. It runs as the compiled program does, with the parameters that were saved. */
export class SavedProgram<W extends Wants> extends RunnableProgram<W> {
  private constructor(parts: RunnableParts<W>) {
    super(parts);
  }

  /**
   * See `openProgram`.
   * @throws PergradError as `openProgram` does: INVALID_ARGUMENT, FILE_UNREADABLE, NOT_ONNX, INVALID_MODEL, RUNTIME.
   */
  static async open<W extends Wants>(
    source: string | Uint8Array,
    options: OpenOptions<W>,
    target: Target = defaultTarget,
  ): Promise<SavedProgram<W>> {
    checkMemoryOptions(options);
    const { threads } = options;
    const want = await loadedWants(options.want);
    const fileName = typeof source === "string" ? source : "the program";
    const bytes = typeof source === "string" ? await readModel(source) : source;
    const proto = parseModel(bytes, fileName);
    const form = readForm(metadataOf(proto, storedKey), fileName, want);
    const loss = asLoss(options.loss);
    const runtime = threads === undefined ? {} : { threads };
    const session =
      metadataOf(proto, unadaptedKey) === target.name
        ? await openAdapted(
            typeof source === "string" ? await parseFile(bytes, source) : proto,
            fileName,
            form,
            target,
            runtime,
          )
        : await target.open(typeof source === "string" ? source : bytes, { ...runtime, operators: operatorsIn(proto) });
    return new SavedProgram({
      want,
      objective: {
        expected: form.expected,
        model: { parameters: {} },
        parameters: new Map(form.parameters.map((name) => [name, undefined])),
      },
      graph: form.graph,
      executable: { memory: new MemoryUse(form.memory), inSteps: () => !target.atOnce },
      running: runningOf(session, form, fileName),
      held: HeldValues.none,
      others: new Map(),
      memoryOptions: options,
      elsewhere: false,
      mostMemory: target.mostMemory,
      validate: (targets: Tensor) => loss.validate?.(targets, form.output),
    });
  }
}

/** Opens a file without work-arounds, and adds those that the target needs. */
async function openAdapted(
  proto: ModelProto,
  fileName: string,
  { expected, graph, notFinite }: ReadForm,
  target: Target,
  options: RuntimeOptions,
): Promise<Session> {
  // Few programs need work-arounds, and only then is a reader of graphs needed.
  const { readable, savedGraph } = await import("../onnx/read/saved-graph.js");
  await readable(proto);
  const shared = [...graph.parameters, ...[...graph.vectors, ...graph.scalars].map(({ value }) => value)];
  const results = graph.outputs.map(({ name }) => name);
  const saved = await withMissing(() => savedGraph(proto, fileName, { expected, shared, results }));
  await target.ready();
  const program = target.adapt(saved, { notFiniteInputs: notFinite });
  const storage = new InMemory();
  const order = target.order(program.outputs.map(({ value }) => value));
  const bytes = encodeModel({ ...program, order }, storage);
  const operators = operatorsIn(parseModel(bytes, fileName));
  return target.open(bytes, { ...options, operators, files: storage.files });
}

function runningOf(session: Session, { graph }: ReadForm, fileName: string): Running {
  const check = (results: Tensors, samples: number) => {
    for (const output of graph.outputs) requireSize(output, results[output.name], samples, fileName);
    return results;
  };
  return {
    held: new Set(),
    isReady: () => true,
    run: async (feeds, samples, seen) =>
      check(await session.run(feeds, (results) => seen?.(check(results, samples))), samples),
    release: () => session.release(),
  };
}

/** Throws INVALID_MODEL if a file computes something else than it says. */
function requireSize({ name, value }: Output, found: Tensor | undefined, samples: number, fileName: string): void {
  const dims = bindShape(value.shape, samples);
  if (found?.data.length === sizeOf(dims)) return;
  const shown = found ? `[${found.dims.join(", ")}]` : "nothing";
  throw new PergradError(
    "INVALID_MODEL",
    `"${fileName}" gives ${shown} for "${name}", but says that it gives [${dims.join(", ")}]; save the program again.`,
  );
}
