/** Saves each stage of a compile as a numbered ONNX file, to open in Netron. */
import { PergradError } from "../errors.js";
import type { Graph } from "../graph/value.js";
import type { Observer, Stage } from "./observe.js";

/** A file that was written, or a stage that could not be, and why. */
export interface SavedStage {
  /** The path of the `.onnx` file. */
  readonly file: string;
  /** Why the stage was not written; undefined if it was. */
  readonly problem?: string;
}

/** Collects the stages of a compile. */
export class StageFolder implements Observer {
  readonly #stages: Stage[] = [];

  /** Queues a stage to be written; a program calls it. */
  readonly onStage = (stage: Stage): void => {
    this.#stages.push(stage);
  };

  /** What has been written so far, in the order of the stages. */
  get stages(): readonly Stage[] {
    return this.#stages;
  }

  /**
   * Writes `01-traced.onnx`, `02-objective.onnx` and so on into a folder, which is created if necessary; the last is
   * `as-run.onnx`, the graph as the runtime's own optimizer rewrites it. Parameters are inputs: the files hold no
   * weights.
   * @throws PergradError FILE_UNWRITABLE.
   */
  async save(folder: string): Promise<SavedStage[]> {
    // The writer is loaded when it is first used.
    const [{ encodeModel }, { makeFolder, writeFileSafely }] = await Promise.all([
      import("../onnx/write/encode.js"),
      import("../io/atomic.js"),
    ]);
    await makeFolder(folder);
    const encoded = ({ inputs, parameters, outputs }: Graph) =>
      encodeModel({ inputs: [...inputs, ...parameters], outputs });
    const saved: SavedStage[] = [];
    for (const { name, graph, asRun } of this.#stages) {
      if (name === "loaded" && !asRun) continue;
      const file = `${String(saved.length + 1).padStart(2, "0")}-${asRun ? "as-run" : name}.onnx`;
      const bytes = await attempt(asRun ?? (async () => encoded(graph)));
      if (typeof bytes !== "string") await writeFileSafely(`${folder}/${file}`, bytes);
      saved.push(typeof bytes === "string" ? { file, problem: bytes } : { file });
    }
    return saved;
  }
}

/** An intermediate stage may hold what no file can: a huge tensor that a later stage removes. */
async function attempt(encode: () => Promise<Uint8Array>): Promise<Uint8Array | string> {
  try {
    return await encode();
  } catch (error) {
    if (error instanceof PergradError) return error.message;
    throw error;
  }
}
