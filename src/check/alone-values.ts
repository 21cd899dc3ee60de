/** Values of one sample alone, computed in float32 and without per-sample code. */

import { modelResults, type Objective, parameterFeeds } from "../compile/objective.js";
import type { Value } from "../graph/value.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { simplifyInFloat32 } from "../optimise/simplify.js";
import { entryOf, nth } from "../present.js";
import { defaultTarget } from "../target/default.js";
import type { RuntimeOptions, Session } from "../target/runtime.js";
import { takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { lastBitsOf } from "./last-bits.js";

export class AloneValues {
  readonly #objective: Objective;
  readonly #data: Readonly<Record<string, Tensor>>;
  readonly #others: ReadonlyMap<Value, Tensor>;
  readonly #session: Session;

  private constructor(
    objective: Objective,
    data: Readonly<Record<string, Tensor>>,
    others: ReadonlyMap<Value, Tensor>,
    session: Session,
  ) {
    this.#objective = objective;
    this.#data = data;
    this.#others = others;
    this.#session = session;
  }

  /**
   * @param data the data as `prepare` returns it
   * @param wanted by the names under which they are returned
   * @param others further feeds, besides data and parameters
   * @throws PergradError RUNTIME
   */
  static async compile(
    objective: Objective,
    data: Readonly<Record<string, Tensor>>,
    wanted: ReadonlyMap<string, Value>,
    others: ReadonlyMap<Value, Tensor>,
    options: RuntimeOptions,
  ): Promise<AloneValues> {
    const values = [...wanted.values()];
    const all = simplifyInFloat32([...values, ...modelResults(objective, values)]);
    const computed = sumsInBlocks(all.slice(0, values.length), all.slice(values.length));
    const inputs = [...objective.expected.values()].map(({ value }) => value);
    const session = await defaultTarget.load(
      {
        inputs: [...inputs, ...parameterFeeds(objective).keys(), ...others.keys()],
        outputs: [...wanted.keys()].map((name, k) => ({ name, value: nth(computed, k) })),
      },
      options,
    );
    return new AloneValues(objective, data, others, session);
  }

  /**
   * One sample's values, by name.
   * @param draw how data and parameters are moved in their last bits; see `lastBitsOf`
   */
  async sample(sample: number, draw: number): Promise<Readonly<Record<string, Tensor>>> {
    const moved = lastBitsOf(draw);
    const feeds: Record<string, Tensor> = {};
    for (const [name, { sampleAxis }] of this.#objective.expected) {
      const all = entryOf(this.#data, name);
      feeds[name] = moved(sampleAxis === null ? all : takeSamples(all, sampleAxis, sample, sample + 1));
    }
    for (const [{ name }, tensor] of parameterFeeds(this.#objective)) feeds[name] = moved(tensor);
    for (const [{ name }, tensor] of this.#others) feeds[name] = tensor;
    return this.#session.run(feeds);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}
