/**
 * The oracles: the float64 reference run on one sample after another (the naive loop), and central finite
 * differences of its loss. They share no per-sample code with programs.
 */

import { type Objective, parameterFeeds } from "../compile/objective.js";
import type { Array64 } from "../float64/array64.js";
import { inSharedMemory } from "../graph/flat.js";
import type { Node, Value } from "../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs } from "../graph/walk.js";
import { Evaluator, toArray64 } from "../interpret/evaluate.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { holdsNotFinite, prepare } from "../program/feeds.js";
import type { Data } from "../tensor/data.js";
import { takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { noProducts, type PlainProducts, plainProducts, pulled } from "./products.js";

/** One sample's loss and its gradients by parameter, in float64. */
export interface OneSample {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float64Array>;
}

/**
 * The graphs and numbers that the reference computes with. It holds no functions, so it can be sent to other threads.
 */
export interface ReferenceParts {
  readonly samples: number;
  /** `[N]` */
  readonly losses: Value;
  /** For the sum of all losses, in the order of `names`. */
  readonly gradients: readonly Value[];
  readonly names: readonly string[];
  /** The parameters with these names. */
  readonly trained: readonly Value[];
  /** All parameters, trained or frozen, and everything else that samples share. */
  readonly parameters: readonly (readonly [Value, Array64])[];
  readonly inputs: readonly InputData[];
  /** Products of the curvature with vectors, by `<want>/<parameter>`; the vectors are among the parameters. */
  readonly products: ReadonlyMap<string, Value>;
}

/** Facts that only the comparing thread needs. */
type Vectors = Pick<PlainProducts, "vectors" | "skipped">;

/** The vectors, and the rows of the Jacobian, are used in the comparing thread. */
type Own = Vectors & Pick<PlainProducts, "jacobian">;

export interface InputData {
  readonly value: Value;
  /** The axis that holds the samples; null if all samples share the input. */
  readonly sampleAxis: number | null;
  readonly tensor: Tensor;
}

/** An element of a parameter, and how far it is moved. */
export interface Move {
  readonly parameter: string;
  readonly index: number;
  readonly by: number;
}

/** What is found when an element is larger than it is, and when it is smaller. */
export interface Sides {
  readonly up: number;
  readonly down: number;
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
  const seed = build.expand(build.scalar(1, losses), losses.shape);
  return pulled(losses, seed, [...parameters.values()], notFiniteInputs);
}

/**
 * Throws what `prepare` throws. Large arrays are in memory that all threads share.
 * @param secondDerivatives whether to include products of curvature, which take long to differentiate
 */
export function referenceParts(
  objective: Objective,
  data: Readonly<Record<string, Data>>,
  secondDerivatives: boolean,
): ReferenceParts & Own {
  const { feeds, samples } = prepare(data, objective.expected, true);
  const shared = ({ dims, data }: Array64) => ({ dims, data: inSharedMemory(data) });
  const notFinite = holdsNotFinite(feeds, objective.expected);
  const gradients = plainGradients(objective, notFinite);
  const {
    values: products,
    vectors,
    jacobian,
    skipped,
  } = secondDerivatives ? plainProducts(objective, gradients, notFinite) : noProducts;
  const given = [...vectors.values()].map(({ value, tensor }) => [value, tensor] as const);
  return {
    samples,
    losses: objective.losses,
    gradients,
    names: [...objective.parameters.keys()],
    trained: [...objective.parameters.values()],
    parameters: [...parameterFeeds(objective), ...given].map(
      ([value, tensor]) => [value, shared(toArray64(tensor))] as const,
    ),
    inputs: [...objective.expected].flatMap(([name, { value, sampleAxis }]) => {
      const tensor = feeds[name];
      return tensor ? [{ value, sampleAxis, tensor: { ...tensor, data: inSharedMemory(tensor.data) } as Tensor }] : [];
    }),
    products,
    vectors,
    jacobian,
    skipped,
  };
}

/** Runs the reference on single samples of one batch of data. */
export class Reference {
  readonly #parts: ReferenceParts;
  readonly #parameters: ReadonlyMap<Value, Array64>;
  readonly #trained: ReadonlyMap<string, Value>;
  readonly #evaluator = new Evaluator();
  #last: Forward | undefined;
  #places: ReadonlyMap<Value, number> | undefined;

  constructor(parts: ReferenceParts) {
    this.#parts = parts;
    this.#parameters = new Map(parts.parameters);
    this.#trained = new Map(parts.names.map((name, k) => [name, nth(parts.trained, k)]));
  }

  get samples(): number {
    return this.#parts.samples;
  }

  /** The loop's gradients of one sample. */
  sample(sample: number): OneSample {
    const { losses, gradients, names } = this.#parts;
    const { values } = this.#forward(sample);
    const [loss, ...found] = this.#evaluator.evaluate([losses, ...gradients], values, 1);
    return {
      loss: loss?.data[0] ?? Number.NaN,
      gradients: new Map(found.map(({ data }, k) => [nth(names, k), data])),
    };
  }

  /** Products of one sample's curvature with the vectors, by `<want>/<parameter>`. */
  products(sample: number): Map<string, Float64Array> {
    const { products } = this.#parts;
    const found = this.#evaluator.evaluate([...products.values()], this.#forward(sample).values, 1);
    return new Map([...products.keys()].map((name, k) => [name, nth(found, k).data]));
  }

  /** Values of one sample that depend on `given`, which may replace a parameter or vector. */
  values(sample: number, of: readonly Value[], given: ReadonlyMap<Value, Array64>): Float64Array[] {
    const feeds = new Map([...this.#forward(sample).values, ...given]);
    return this.#evaluator.evaluate([...of], feeds, 1).map(({ data }) => data);
  }

  /**
   * Half of the difference between a sample's losses with these elements moved up and down by the given distances: a
   * central difference without its division.
   */
  halfDifference(sample: number, moves: readonly Move[]): number {
    const { up, down } = this.#lossesAround(sample, moves);
    return (up - down) / 2;
  }

  /** A sample's losses with these elements moved by the given distances, and by the opposite ones. */
  #lossesAround(sample: number, moves: readonly Move[]): Sides {
    const { losses } = this.#parts;
    const moved = [...new Set(moves.map(({ parameter }) => this.#valueOf(parameter)))];
    // Values that depend on none of them stay as they are.
    const dependent = dependentsOf(moved, nodesBefore([losses]));
    const fixed = [...this.#forward(sample).values].filter(([each]) => !dependent.has(each));
    const lossAt = (side: number): number => {
      const feeds = new Map(fixed);
      for (const value of moved) {
        const { dims, data } = present(this.#parameters.get(value));
        feeds.set(value, { dims, data: data.slice() });
      }
      for (const { parameter, index, by } of moves) {
        const data = present(feeds.get(this.#valueOf(parameter))?.data);
        data[index] = (data[index] as number) + side * by;
      }
      return this.#evaluator.evaluate([losses], feeds, 1)[0]?.data[0] ?? Number.NaN;
    };
    return { up: lossAt(1), down: lossAt(-1) };
  }

  /** dloss/d element `index` of a parameter, by central differences with a step of `step` times its size (at least `step`). */
  difference(parameter: string, sample: number, index: number, step = 1e-6): number {
    const by = step * this.stretch(parameter, index);
    return this.halfDifference(sample, [{ parameter, index, by }]) / by;
  }

  /** The slopes of the loss on both sides of an element, with steps as in `difference`. */
  slopes(parameter: string, sample: number, index: number, step: number): Sides {
    const by = step * this.stretch(parameter, index);
    const { up, down } = this.#lossesAround(sample, [{ parameter, index, by }]);
    const here = this.loss(sample);
    return { up: (up - here) / by, down: (here - down) / by };
  }

  /** What a step for an element is multiplied by: its size, and at least 1. */
  stretch(parameter: string, index: number): number {
    const { data } = present(this.#parameters.get(this.#valueOf(parameter)));
    return Math.max(1, Math.abs(data[index] as number));
  }

  /** A sample's loss. */
  loss(sample: number): number {
    return this.#forward(sample).values.get(this.#parts.losses)?.data[0] ?? Number.NaN;
  }

  /** Where a parameter is first read in the model: smaller for earlier nodes. */
  placeOf(parameter: string): number {
    this.#places ??= placesIn(nodesBefore([this.#parts.losses]));
    return this.#places.get(this.#valueOf(parameter)) ?? Number.MAX_SAFE_INTEGER;
  }

  /** Number of elements of a parameter. */
  sizeOf(parameter: string): number {
    return elementFactor(this.#trained.get(parameter)?.shape ?? [0]);
  }

  #valueOf(parameter: string): Value {
    const value = this.#trained.get(parameter);
    if (!value || !this.#parameters.has(value)) throw new RangeError(`no parameter "${parameter}"`);
    return value;
  }

  #feeds(sample: number): Map<Value, Array64> {
    const feeds = new Map(this.#parameters);
    for (const { value, sampleAxis, tensor } of this.#parts.inputs) {
      feeds.set(value, toArray64(sampleAxis === null ? tensor : takeSamples(tensor, sampleAxis, sample, sample + 1)));
    }
    return feeds;
  }

  /** All values on the way to a sample's loss, kept until another sample is asked for. */
  #forward(sample: number): Forward {
    if (this.#last?.sample !== sample) {
      this.#last = undefined;
      this.#last = { sample, values: this.#evaluator.all([this.#parts.losses], this.#feeds(sample), 1) };
    }
    return this.#last;
  }
}

/** For each value, the index of the first of these nodes that reads it. */
function placesIn(nodes: readonly Node[]): Map<Value, number> {
  const places = new Map<Value, number>();
  for (const [place, node] of nodes.entries()) {
    for (const input of presentInputs(node)) if (!places.has(input)) places.set(input, place);
  }
  return places;
}

/** The reference of an objective, in this thread. */
export class Oracle extends Reference {
  /** Throws what `prepare` throws. */
  constructor(objective: Objective, data: Readonly<Record<string, Data>>) {
    super(referenceParts(objective, data, false));
  }
}
