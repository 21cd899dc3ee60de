/**
 * The oracles: the float64 reference run on one sample after another (the naive loop), and central finite
 * differences of its loss. They share no per-sample code with programs.
 */
import { Ranges } from "../autodiff/ranges.js";
import { plain, reverse } from "../autodiff/reverse.js";
import type { Value } from "../graph/value.js";
import { dependentsOf, nodesBefore } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import type { Array64 } from "../ops/definition.js";
import { evaluateAll, evaluateGraph, toArray64 } from "../ops/evaluate.js";
import { build } from "../ops/registry.js";
import { type Data, holdsNotFinite, prepare } from "../program/data.js";
import { type Objective, parameterFeeds } from "../program/objective.js";
import { takeSamples } from "../samples.js";
import type { Tensor } from "../tensor.js";

/** One sample's loss and its gradients by parameter, in float64. */
export interface OneSample {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float64Array>;
}

interface Forward {
  readonly sample: number;
  readonly values: ReadonlyMap<Value, Array64>;
}

/**
 * The gradients of the sum of all losses by ordinary reverse mode, in the order of the objective's parameters.
 * @param notFiniteInputs whether the data may hold NaN or infinity
 */
export function plainGradients({ losses, parameters }: Objective, notFiniteInputs: boolean): Value[] {
  const targets = [...parameters.values()];
  const seed = build.expand(build.scalar(1, losses), losses.shape);
  const ranges = Ranges.before([losses], { notFiniteInputs });
  const found = reverse(new Map([[losses, seed]]), new Set(targets), plain, ranges);
  return targets.map((target) => found.get(target) ?? build.zeros(target.shape, target.dtype));
}

/** Runs the reference on single samples of one batch of data. */
export class Oracle {
  readonly #objective: Objective;
  readonly #data: Readonly<Record<string, Tensor>>;
  readonly #parameters: ReadonlyMap<Value, Array64>;
  readonly #gradients: readonly Value[];
  readonly samples: number;
  #last: Forward | undefined;

  /** Throws what `prepare` throws. */
  constructor(objective: Objective, data: Readonly<Record<string, Data>>) {
    this.#objective = objective;
    const { feeds, samples } = prepare(data, objective.expected, true);
    this.#data = feeds;
    this.samples = samples;
    this.#parameters = new Map([...parameterFeeds(objective)].map(([value, tensor]) => [value, toArray64(tensor)]));
    this.#gradients = plainGradients(objective, holdsNotFinite(feeds, objective.expected));
  }

  #feeds(sample: number): Map<Value, Array64> {
    const feeds = new Map(this.#parameters);
    for (const [name, { value, sampleAxis }] of this.#objective.expected) {
      const tensor = this.#data[name];
      if (tensor)
        feeds.set(value, toArray64(sampleAxis === null ? tensor : takeSamples(tensor, sampleAxis, sample, sample + 1)));
    }
    return feeds;
  }

  /** All values on the way to a sample's loss, kept until another sample is asked for. */
  #forward(sample: number): Forward {
    if (this.#last?.sample !== sample) {
      this.#last = { sample, values: evaluateAll([this.#objective.losses], this.#feeds(sample), 1) };
    }
    return this.#last;
  }

  /** The loop's gradients of one sample. */
  sample(sample: number): OneSample {
    const { values } = this.#forward(sample);
    const [loss, ...gradients] = evaluateGraph([this.#objective.losses, ...this.#gradients], values, 1);
    const names = [...this.#objective.parameters.keys()];
    return {
      loss: loss?.data[0] ?? Number.NaN,
      gradients: new Map(gradients.map(({ data }, k) => [names[k] as string, data])),
    };
  }

  /** dloss/d element `index` of a parameter, by central differences with a step of `step` times its size (at least `step`). */
  difference(parameter: string, sample: number, index: number, step = 1e-6): number {
    const value = this.#objective.parameters.get(parameter);
    const own = value && this.#parameters.get(value);
    if (!value || !own) throw new RangeError(`no parameter "${parameter}"`);
    const centre = own.data[index] as number;
    const width = step * Math.max(1, Math.abs(centre));
    const { losses } = this.#objective;
    // What does not depend on the parameter stays as it is.
    const dependent = dependentsOf([value], nodesBefore([losses]));
    const fixed = [...this.#forward(sample).values].filter(([each]) => !dependent.has(each));
    const lossAt = (x: number): number => {
      const data = own.data.slice();
      data[index] = x;
      const [loss] = evaluateGraph([losses], new Map(fixed).set(value, { dims: own.dims, data }), 1);
      return loss?.data[0] ?? Number.NaN;
    };
    return (lossAt(centre + width) - lossAt(centre - width)) / (2 * width);
  }

  /** Number of elements of a parameter. */
  sizeOf(parameter: string): number {
    return elementFactor(this.#objective.parameters.get(parameter)?.shape ?? [0]);
  }
}
