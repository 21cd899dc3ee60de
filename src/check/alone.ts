/**
 * The ordinary gradient of one sample alone, by plain reverse mode in float32: how far rounding takes a gradient
 * where no per-sample code is at work.
 */

import { modelResults, type Objective, parameterFeeds } from "../compile/objective.js";
import { nodeOf, type Value } from "../graph/value.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { elementFactor } from "../ops/build.js";
import { build, definitionOf } from "../ops/registry.js";
import { simplifyInFloat32 } from "../optimise/simplify.js";
import { entryOf, nth } from "../present.js";
import { holdsNotFinite, prepare } from "../program/feeds.js";
import { defaultTarget } from "../target/default.js";
import type { RuntimeOptions, Session } from "../target/runtime.js";
import type { Data } from "../tensor/data.js";
import { takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { lastBitsOf } from "./last-bits.js";
import { plainGradients } from "./oracle.js";

export interface AloneGradient {
  readonly gradient: ArrayLike<number>;
  /** The largest, over the elements of the gradient, sum of absolute values of what is added up to it. */
  readonly contributions: number;
}

export class Alone {
  readonly #objective: Objective;
  readonly #data: Readonly<Record<string, Tensor>>;
  readonly #session: Session;

  private constructor(objective: Objective, data: Readonly<Record<string, Tensor>>, session: Session) {
    this.#objective = objective;
    this.#data = data;
    this.#session = session;
  }

  /** Throws what `prepare` throws, and RUNTIME. */
  static async compile(
    objective: Objective,
    data: Readonly<Record<string, Data>>,
    options: RuntimeOptions,
  ): Promise<Alone> {
    const { feeds } = prepare(data, objective.expected, true);
    const gradients = plainGradients(objective, holdsNotFinite(feeds, objective.expected));
    const contributions = gradients.map((gradient) => largest(magnitude(gradient)));
    const wanted = [...gradients, ...contributions];
    const all = simplifyInFloat32([...wanted, ...modelResults(objective, wanted)]);
    const values = sumsInBlocks(all.slice(0, wanted.length), all.slice(wanted.length));
    const names = [...objective.parameters.keys()];
    const session = await defaultTarget.load(
      {
        inputs: [...[...objective.expected.values()].map(({ value }) => value), ...parameterFeeds(objective).keys()],
        outputs: [...names.map(gradientName), ...names.map(contributionsName)].map((name, k) => ({
          name,
          value: nth(values, k),
        })),
      },
      options,
    );
    return new Alone(objective, feeds, session);
  }

  /**
   * One sample's gradients, by parameter.
   * @param draw how data and parameters are moved in their last bits; see `lastBitsOf`
   */
  async sample(sample: number, draw = 0): Promise<Map<string, AloneGradient>> {
    const moved = lastBitsOf(draw);
    const feeds: Record<string, Tensor> = {};
    for (const [name, { sampleAxis }] of this.#objective.expected) {
      const all = entryOf(this.#data, name);
      feeds[name] = moved(sampleAxis === null ? all : takeSamples(all, sampleAxis, sample, sample + 1));
    }
    for (const [{ name }, tensor] of parameterFeeds(this.#objective)) feeds[name] = moved(tensor);
    const returned = await this.#session.run(feeds);
    return new Map(
      [...this.#objective.parameters.keys()].map((name) => {
        const gradient = returned[gradientName(name)]?.data as Float32Array;
        return [name, { gradient, contributions: Number(returned[contributionsName(name)]?.data[0]) }];
      }),
    );
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

const gradientName = (parameter: string) => `gradient/${parameter}`;
const contributionsName = (parameter: string) => `contributions/${parameter}`;

function largest(value: Value): Value {
  if (elementFactor(value.shape) === 0) return build.filled(0, [], value.dtype);
  const axes = [...value.shape.keys()];
  const most = build.reduce("ReduceMax", value, axes);
  // The runtime's maximum of what holds a NaN is neither NaN nor the largest number; a sum is NaN.
  return build.add(most, build.scale(build.sum(value, axes), 0));
}

/**
 * The sum of absolute values of what a gradient adds up last: the same sums and products of absolute values.
 * Where it is not seen to be a sum, its own absolute value.
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
