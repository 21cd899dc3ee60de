/**
 * Chooses, for each parameter, the ways in which its wanted results are computed. The choice is made for
 * all of them at once: where one multiplies the gradients out, the others may use them for little more.
 */

import { defect } from "../errors.js";
import { cheapest, type Factored, type NormWay, type SumWay, sizeOfGradient } from "../gradients/factored.js";
import { showShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";

/** What the wants of a program ask of every parameter. */
export interface Demands {
  readonly gradients: boolean;
  readonly norms: boolean;
  /** The number of sums over the batch: mean, clipped sums. */
  readonly sums: number;
}

/** The ways chosen for one parameter (null where nothing of that sort is wanted). */
export interface Choice {
  readonly parameter: string;
  readonly gradient: Factored;
  readonly norm: NormWay | null;
  readonly sum: SumWay | null;
  /** Multiply-adds and floats moved, per sample, of the chosen ways together. */
  readonly operations: number;
  readonly floats: number;
}

/** The cheapest combination of ways for one parameter. */
export function choose(parameter: string, gradient: Factored, demands: Demands): Choice {
  const norms = demands.norms ? gradient.squaredNorms() : [null];
  const sums = demands.sums > 0 ? gradient.weightedSums() : [null];
  return cheapest(norms.flatMap((norm) => sums.map((sum) => combine(parameter, gradient, norm, sum, demands))));
}

function combine(
  parameter: string,
  gradient: Factored,
  norm: NormWay | null,
  sum: SumWay | null,
  demands: Demands,
): Choice {
  const uses = [...(norm ? [norm] : []), ...(sum ? Array<SumWay>(demands.sums).fill(sum) : [])];
  const { operations, floats } = gradient.materialisation;
  // Multiplying out is paid for once, however many use it.
  const dense = uses.filter((way) => way.dense).length;
  const saved = Math.max(0, dense - 1);
  const extra = demands.gradients && dense === 0 ? 1 : 0;
  return {
    parameter,
    gradient,
    norm,
    sum,
    operations: uses.reduce((total, way) => total + way.operations, 0) + (extra - saved) * operations,
    floats: uses.reduce((total, way) => total + way.floats, 0) + (extra - saved) * floats,
  };
}

/** What wants are built from: the chosen ways, emitted when asked for. */
export class Plan {
  readonly choices: ReadonlyMap<string, Choice>;

  constructor(gradients: ReadonlyMap<string, Factored>, demands: Demands) {
    this.choices = new Map([...gradients].map(([name, gradient]) => [name, choose(name, gradient, demands)]));
  }

  get parameters(): string[] {
    return [...this.choices.keys()];
  }

  #choice(parameter: string): Choice {
    const choice = this.choices.get(parameter);
    if (!choice) throw defect(`no gradient of "${parameter}" is planned`);
    return choice;
  }

  /** `[N, ...shape]` */
  gradient(parameter: string): Value {
    return this.#choice(parameter).gradient.materialise(build);
  }

  /** `[N]` */
  squaredNorm(parameter: string): Value {
    const { norm } = this.#choice(parameter);
    if (!norm) throw defect(`no norm of "${parameter}" is planned`);
    return norm.emit(build);
  }

  /** `[...shape]` */
  weightedSum(parameter: string, weights: Value | null): Value {
    const { sum } = this.#choice(parameter);
    if (!sum) throw defect(`no sum of "${parameter}" is planned`);
    return sum.emit(build, weights);
  }
}

/** One row of `explain()`: what was chosen for a parameter, and what it costs for each sample. */
export interface ExplainedParameter {
  readonly parameter: string;
  readonly shape: string;
  readonly elements: number;
  readonly kind: string;
  readonly positions: number;
  readonly norm: string | null;
  readonly sum: string | null;
  /** The gradients are multiplied out to `[N, ...shape]` on the way. */
  readonly dense: boolean;
  readonly operations: number;
  readonly floats: number;
}

export function explainPlan(plan: Plan): ExplainedParameter[] {
  return [...plan.choices.values()].map(({ parameter, gradient, norm, sum, operations, floats }) => ({
    parameter,
    shape: showShape(gradient.shape),
    elements: sizeOfGradient(gradient),
    kind: gradient.kind,
    positions: gradient.positions,
    norm: norm?.name ?? null,
    sum: sum?.name ?? null,
    dense: [norm, sum].some((way) => way?.dense && gradient.kind !== "dense"),
    operations,
    floats,
  }));
}
