/** Programs that are run from the files they were saved to, without compiling. */

import { PergradError } from "../errors.js";
import { MemoryUse } from "../graph/bytes.js";
import { asLoss, type LossName } from "../nn/as-loss.js";
import type { Loss, LossFunction } from "../nn/loss.js";
import { metadataOf, parseModel } from "../onnx/proto.js";
import { readModel } from "../onnx/read/model-file.js";
import { defaultTarget } from "../target/default.js";
import type { Session } from "../target/runtime.js";
import type { Running, Target } from "../target/target.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";
import { HeldValues } from "./held.js";
import { checkMemoryOptions, type MemoryOptions } from "./microbatches.js";
import { type RunnableParts, RunnableProgram } from "./runnable.js";
import { readForm, storedKey, unadaptedKey } from "./stored-form.js";

/** Options of `openProgram`. */
export interface OpenOptions<W extends Wants> extends MemoryOptions {
  /** The wants that the program was compiled with, under the same names: they read its results. */
  readonly want: W;
  /** The loss that it was compiled with, which checks targets. */
  readonly loss: Loss | LossFunction | LossName;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
}

/** A program from a file: it runs as the one that was saved does, with the parameters that it was saved with. */
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
    const { want, threads } = options;
    const fileName = typeof source === "string" ? source : "the program";
    const bytes = typeof source === "string" ? await readModel(source) : source;
    const proto = parseModel(bytes, fileName);
    const form = readForm(metadataOf(proto, storedKey), fileName, want);
    if (metadataOf(proto, unadaptedKey) === target.name)
      throw new PergradError(
        "INVALID_ARGUMENT",
        `"${fileName}" was saved for any runtime, without the work-arounds that ${target.version} needs for it; save it with { for: "${target.name}" }.`,
      );
    const loss = asLoss(options.loss);
    const runtime = threads === undefined ? {} : { threads };
    const session = await target.open(typeof source === "string" ? source : bytes, runtime);
    return new SavedProgram({
      want,
      objective: {
        expected: form.expected,
        model: { parameters: {} },
        parameters: new Map(form.parameters.map((name) => [name, undefined])),
      },
      graph: form.graph,
      executable: { memory: new MemoryUse(form.memory), inSteps: () => !target.atOnce },
      running: runningOf(session),
      held: HeldValues.none,
      others: new Map(),
      memoryOptions: options,
      elsewhere: false,
      mostMemory: target.mostMemory,
      validate: (targets: Tensor) => loss.validate?.(targets, form.output),
    });
  }
}

function runningOf(session: Session): Running {
  return {
    held: new Set(),
    isReady: () => true,
    run: (feeds, _samples, seen) => session.run(feeds, seen),
    release: () => session.release(),
  };
}
