/** Loss and accuracy of the samples of a step. */

import type { Objective } from "../compile/objective.js";
import { isBatch } from "../graph/dim.js";
import { type Data, isTensor, plainData } from "../tensor/data.js";
import { type FloatTensor, float, type Want } from "../wants/wanted.js";

/** Whether the loss compares scores of classes, `[N, C]`, with one label for each sample. */
function hasLabels({ expected, output, loss }: Objective): boolean {
  const [, classes] = output.shape;
  const target = expected.get("target")?.value;
  const scores = output.shape.length === 2 && classes !== undefined && !isBatch(classes) && classes > 1;
  return scores && target?.shape.length === 1 && ["cross_entropy", "nll"].includes(loss.name);
}

/** The scores of classes, `[N, C]`; null if there are no labels to compare them with. */
export function scores(objective: Objective): Want<FloatTensor | null> {
  return scoresWhere(hasLabels(objective), objective);
}

/** The output, `[N, C]`, or null. */
export function scoresWhere(labelled: boolean, objective: Objective): Want<FloatTensor | null> {
  return {
    name: "scores",
    requirements: {},
    emit: () => (labelled ? { scores: objective.output } : {}),
    read: (returned) => (labelled ? float(returned, "scores") : null),
  };
}

/** -1 if there is none: a NaN is neither larger nor smaller. */
function largest(row: Float32Array): number {
  if (row.some(Number.isNaN)) return -1;
  return row.reduce((best, score, k) => (score > (row[best] as number) ? k : best), 0);
}

export class Figures {
  #loss = 0;
  #right: number | null = null;
  samples = 0;

  add(losses: FloatTensor, scored: FloatTensor | null, labels: Data | undefined): void {
    for (const loss of losses.data) this.#loss += loss;
    this.samples += losses.data.length;
    if (!scored || !labels) return;
    const [samples = 0, classes = 0] = scored.dims;
    const plain = plainData("The target", labels);
    const wanted = isTensor(plain) ? plain.data : plain;
    let right = 0;
    for (let n = 0; n < samples; n++)
      if (largest(scored.data.subarray(n * classes, (n + 1) * classes)) === Number(wanted[n])) right++;
    this.#right = (this.#right ?? 0) + right;
  }

  /** Adds the figures of other samples. */
  join(others: Figures): void {
    this.#loss += others.#loss;
    this.samples += others.samples;
    if (others.#right !== null) this.#right = (this.#right ?? 0) + others.#right;
  }

  /** NaN if there were no samples. */
  get loss(): number {
    return this.#loss / this.samples;
  }

  get accuracy(): number | null {
    return this.#right === null ? null : this.#right / this.samples;
  }
}
