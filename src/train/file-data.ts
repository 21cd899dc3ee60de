/** Training data in a file: read once from start to end, to check it, and then batch by batch. */
import type { Objective } from "../compile/objective.js";
import { bindShape } from "../graph/dim.js";
import { FileSource } from "../program/dataset.js";
import { prepare } from "../program/feeds.js";
import type { Data } from "../tensor/data.js";
import { sizeOf } from "../tensor/tensor.js";
import { expectedOf, requireSamples, type TrainingData, type TrainingDataOptions } from "./dataset.js";

/** The number of elements that are checked at a time. */
const numbersAtOnce = 2 ** 20;

export class FileData implements TrainingData {
  private constructor(private readonly source: FileSource) {}

  /** Throws FILE_UNREADABLE, and the errors for bad data in memory. */
  static async open(
    objective: Objective,
    path: string,
    { made, allowNotFinite }: Omit<TrainingDataOptions, "inPlace">,
  ): Promise<FileData> {
    const expected = expectedOf(objective, made);
    const source = await FileSource.open(path, {
      expected,
      prepare: (batch) => {
        const prepared = prepare(batch, expected, allowNotFinite);
        const { target } = prepared.feeds;
        if (target) objective.loss.validate?.(target, objective.output.shape);
        return prepared;
      },
    });
    try {
      const each = [...expected.values()].reduce((sum, { value }) => sum + sizeOf(bindShape(value.shape, 1)), 0);
      for await (const { samples } of source.pieces(Math.max(1, Math.floor(numbersAtOnce / Math.max(1, each)))))
        if (source.total === 0) requireSamples(samples);
      await source.requireUnchanged();
      return new FileData(source);
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  get samples(): number {
    return this.source.total;
  }

  async take(samples: Uint32Array): Promise<Readonly<Record<string, Data>>> {
    return this.source.at(samples);
  }

  release(): Promise<void> {
    return this.source.close();
  }
}
