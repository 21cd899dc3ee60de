/** Measures that follow a sample through the checkpoints of a training. */
import type { Objective } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import { Gathered } from "../program/found-not-finite.js";
import type { Dataset } from "../program/given-data.js";
import { type Running, runningOf } from "../program/options.js";
import { Program } from "../program/program.js";
import type { Tensor } from "../tensor/tensor.js";
import { scoresWhere } from "../train/figures.js";
import { want } from "../wants/want.js";
import { el2n, largest, marginOf } from "./by-class.js";
import type { Targets } from "./targets.js";
import type { FindIssuesOptions } from "./types.js";

export type Parameters = Readonly<Record<string, Tensor<"float32">>>;

/** Means over the checkpoints, and the numbers at the last one. */
export interface Followed {
  readonly losses: Float32Array;
  readonly norms: Float32Array;
  readonly grand: Float32Array;
  /** `[N, C]` at the last checkpoint. */
  readonly scores?: Float32Array;
  readonly el2n?: Float32Array;
  readonly aum?: Float32Array;
  readonly forgetting?: Float32Array;
}

interface FollowOptions extends Running, Pick<FindIssuesOptions, "onNotFinite"> {
  readonly allowNotFinite: boolean;
}

/** @param checkpoints in the order of the training; the last is the model */
export async function follow(
  objective: Objective,
  dataset: Dataset,
  targets: Targets,
  checkpoints: readonly Parameters[],
  { allowNotFinite, onNotFinite, ...running }: FollowOptions,
): Promise<Followed> {
  const program = await Program.of(objective, {
    loss: objective.loss,
    holdParameters: checkpoints.length === 1,
    ...runningOf(running),
    want: { losses: want.losses(), norms: want.norms(), scores: scoresWhere(targets.kind === "classes", objective) },
  });
  const notFinite = new Gathered();
  try {
    const course = new Course(targets, checkpoints.length);
    for (const parameters of checkpoints) {
      const given = checkpoints.length === 1 ? {} : { parameters };
      const found = await program.runAll(dataset, {
        ...given,
        allowNotFinite,
        onNotFinite: notFinite.take,
        inPlace: true,
      });
      course.add(found.losses.data, found.norms.total.data, found.scores?.data);
    }
    notFinite.tell(onNotFinite);
    return course.finish();
  } finally {
    await program.release();
  }
}

class Course {
  #last: Pick<Followed, "losses" | "norms" | "scores"> | undefined;
  #grand: Float64Array | undefined;
  readonly #labels: Int32Array | undefined;
  readonly #classes: number;
  readonly #el2n: Float64Array;
  readonly #aum: Float64Array;
  readonly #forgetting: Float64Array;
  #right: readonly boolean[] | undefined;

  constructor(
    targets: Targets,
    private readonly count: number,
  ) {
    this.#labels = targets.kind === "classes" ? targets.labels : undefined;
    this.#classes = targets.kind === "classes" ? targets.classes : 0;
    const samples = this.#labels?.length ?? 0;
    [this.#el2n, this.#aum, this.#forgetting] = [
      new Float64Array(samples),
      new Float64Array(samples),
      new Float64Array(samples),
    ];
  }

  add(losses: Float32Array, norms: Float32Array, scores: Float32Array | undefined): void {
    this.#grand = (this.#grand ?? new Float64Array(norms.length)).map((sum, n) => sum + (norms[n] ?? 0));
    this.#last = { losses, norms, ...(scores ? { scores } : {}) };
    const labels = this.#labels;
    if (!labels || !scores) return;
    const right: boolean[] = [];
    labels.forEach((label, n) => {
      const own = scores.subarray(n * this.#classes, (n + 1) * this.#classes);
      this.#el2n[n] = (this.#el2n[n] ?? 0) + el2n(own, label);
      this.#aum[n] = (this.#aum[n] ?? 0) + marginOf(own, label);
      right.push(largest(own) === label);
      if (this.#right?.[n] && !right[n]) this.#forgetting[n] = (this.#forgetting[n] ?? 0) + 1;
    });
    this.#right = right;
  }

  finish(): Followed {
    const { count } = this;
    if (!this.#last || !this.#grand)
      throw new PergradError("INVALID_ARGUMENT", "The list of checkpoints is empty; give some, or leave it out.");
    const mean = (sums: Float64Array) => Float32Array.from(sums, (sum) => sum / count);
    return {
      ...this.#last,
      grand: mean(this.#grand),
      ...(this.#labels
        ? {
            el2n: mean(this.#el2n),
            aum: mean(this.#aum),
            ...(count > 1 ? { forgetting: Float32Array.from(this.#forgetting) } : {}),
          }
        : {}),
    };
  }
}
