/**
 * The ordinary gradient of one sample alone, by plain reverse mode in float32: it shows how much rounding affects a
 * gradient without any per-sample code.
 */

import type { Objective } from "../compile/objective.js";
import { nodeOf, type Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { build, definitionOf } from "../ops/registry.js";
import { nth } from "../present.js";
import { holdsNotFinite, prepare } from "../program/feeds.js";
import type { RuntimeOptions } from "../target/runtime.js";
import type { Data } from "../tensor/data.js";
import { AloneValues } from "./alone-values.js";
import { plainGradients } from "./oracle.js";

export interface AloneGradient {
  readonly gradient: ArrayLike<number>;
  /** The sum of absolute values of the terms of an element of the gradient; the largest of all elements. */
  readonly contributions: number;
}

export class Alone {
  readonly #names: readonly string[];
  readonly #values: AloneValues;

  private constructor(names: readonly string[], values: AloneValues) {
    this.#names = names;
    this.#values = values;
  }

  /** Throws what `prepare` throws, and RUNTIME. */
  static async compile(
    objective: Objective,
    data: Readonly<Record<string, Data>>,
    options: RuntimeOptions,
  ): Promise<Alone> {
    const { feeds } = prepare(data, objective.expected, true);
    const gradients = plainGradients(objective, holdsNotFinite(feeds, objective.expected));
    const names = [...objective.parameters.keys()];
    const wanted = new Map([
      ...names.map((name, k) => [gradientName(name), nth(gradients, k)] as const),
      ...names.map((name, k) => [contributionsName(name), largest(magnitude(nth(gradients, k)))] as const),
    ]);
    return new Alone(names, await AloneValues.compile(objective, feeds, wanted, new Map(), options));
  }

  /**
   * One sample's gradients, by parameter.
   * @param draw how data and parameters are moved in their last bits; see `lastBitsOf`
   */
  async sample(sample: number, draw = 0): Promise<Map<string, AloneGradient>> {
    const returned = await this.#values.sample(sample, draw);
    return new Map(
      this.#names.map((name) => {
        const gradient = returned[gradientName(name)]?.data as Float32Array;
        return [name, { gradient, contributions: Number(returned[contributionsName(name)]?.data[0]) }];
      }),
    );
  }

  async release(): Promise<void> {
    await this.#values.release();
  }
}

const gradientName = (parameter: string) => `gradient/${parameter}`;
const contributionsName = (parameter: string) => `contributions/${parameter}`;

function largest(value: Value): Value {
  if (elementFactor(value.shape) === 0) return build.filled(0, [], value.dtype);
  const axes = [...value.shape.keys()];
  const most = build.reduce("ReduceMax", value, axes);
  // The runtime's maximum ignores NaN; a sum shows it.
  return build.add(most, build.scale(build.sum(value, axes), 0));
}

/**
 * The sum of absolute values of the terms that a gradient adds up last: the same sums and products, of absolute values.
 * If it is not recognisable as a sum, its own absolute value.
 */
function magnitude(value: Value): Value {
  const node = nodeOf(value);
  const [first, second] = node?.inputs ?? [];
  if (!node || !first) return build.abs(value);
  const again = (inputs: readonly (Value | null)[]) => build.op(node.op, inputs, node.attributes);
  const rest = node.inputs.slice(1);
  if (definitionOf(node)?.view || node.op === "ReduceSum") return again([magnitude(first), ...rest]);
  if (!second) return node.op === "Neg" ? magnitude(first) : build.abs(value);
  if (node.op === "Add" || node.op === "Sub") return build.add(magnitude(first), magnitude(second));
  if (node.op === "MatMul") return again([build.abs(first), build.abs(second)]);
  if (node.op === "Mul" && second.source.kind === "constant") return again([magnitude(first), build.abs(second)]);
  return build.abs(value);
}
