/**
 * The ordinary gradient of one sample alone, by plain reverse mode in float32: how far rounding takes a gradient
 * where no per-sample code is at work.
 */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import { modelResults, type Objective, parameterFeeds } from "../compile/objective.js";
import { nodeOf, type Value } from "../graph/value.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { encodeModel } from "../onnx/write/encode.js";
import { elementFactor } from "../ops/build.js";
import { build, definitionOf } from "../ops/registry.js";
import { simplifyForRuntime } from "../optimise/simplify.js";
import { type Data, holdsNotFinite, prepare } from "../program/feeds.js";
import { nodeRuntime } from "../target/onnxruntime/node.js";
import type { RuntimeOptions, Session } from "../target/runtime.js";
import { takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
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
    const all = simplifyForRuntime([...wanted, ...modelResults(objective, wanted)]);
    const values = sumsInBlocks(all.slice(0, wanted.length), all.slice(wanted.length));
    const names = [...objective.parameters.keys()];
    const bytes = encodeModel({
      inputs: [...[...objective.expected.values()].map(({ value }) => value), ...parameterFeeds(objective).keys()],
      outputs: [...names.map(gradientName), ...names.map(contributionsName)].map((name, k) => ({
        name,
        value: values[k] as Value,
      })),
    });
    return new Alone(objective, feeds, await nodeRuntime.load(bytes, options));
  }

  /**
   * One sample's gradients, by parameter.
   * @param draw 0 for the data and parameters as they are; for any other number about half of them, chosen by
   * it, are moved by one unit in the last place, from 8 on by up to 4: what a deep model's own rounding amounts to.
   * One computation may happen to round well; several tell.
   */
  async sample(sample: number, draw = 0): Promise<Map<string, AloneGradient>> {
    const random = draw === 0 ? null : xoroshiro128plus(draw);
    const units = draw < 8 ? 1 : 4;
    const feeds: Record<string, Tensor> = {};
    for (const [name, { sampleAxis }] of this.#objective.expected) {
      const all = this.#data[name] as Tensor;
      feeds[name] = moved(sampleAxis === null ? all : takeSamples(all, sampleAxis, sample, sample + 1), random, units);
    }
    for (const [{ name }, tensor] of parameterFeeds(this.#objective)) feeds[name] = moved(tensor, random, units);
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

/**
 * Towards zero, so that nothing leaves the range it is in. Whole numbers stay: they may be labels, masks or
 * indices, which mean something else one step away.
 */
function moved(tensor: Tensor, random: RandomGenerator | null, units: number): Tensor {
  if (!random || !(tensor.data instanceof Float32Array)) return tensor;
  const data = tensor.data.map((x) => (Number.isInteger(x) || random.next() < 0 ? x : x * (1 - units * 2 ** -24)));
  return { dtype: "float32", dims: tensor.dims, data };
}

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
