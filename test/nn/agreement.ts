/** Programs of modules against the loop over samples and finite differences. */
import { expect } from "vitest";
import { check } from "../../src/check/check.js";
import { Oracle } from "../../src/check/oracle.js";
import { type ObjectiveOptions, objectiveOf } from "../../src/compile/objective.js";
import type { Model } from "../../src/graph/model.js";
import { losses } from "../../src/nn/losses.js";
import { perSample } from "../../src/program/per-sample.js";
import type { Data } from "../../src/tensor/data.js";
import type { Random } from "../../src/tensor/random.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { want } from "../../src/wants/want.js";
import { expectClose } from "../support/per-sample.js";

type Fed = Readonly<Record<string, Data>>;

/** The sum of squares of the output, whatever its shape. */
export const squares: ObjectiveOptions = {
  loss: {
    ...losses.output(),
    apply: (output) => {
      const axes = Array.from({ length: output.rank - 1 }, (_, k) => k + 1);
      return output.square().sum(axes);
    },
  },
};

export function floats(dims: readonly number[], seed = 0): Tensor<"float32"> {
  const data = Float32Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 1.5);
  return { dtype: "float32", dims, data };
}

export function integers(dims: readonly number[], data: readonly number[]): Tensor<"int64"> {
  return { dtype: "int64", dims, data: BigInt64Array.from(data, BigInt) };
}

export function booleans(dims: readonly number[], data: readonly boolean[]): Tensor<"bool"> {
  return { dtype: "bool", dims, data: Uint8Array.from(data, Number) };
}

/** The model with biases and gains moved away from their zeros and ones. */
export function shaken(model: Model): Model {
  const moved = Object.entries(model.parameters).map(([name, { dims, data }], k) => {
    const shift = floats(dims, k + 1).data;
    return [
      name,
      { dtype: "float32" as const, dims, data: data.map((x, i) => x + 0.1 * (shift[i] as number)) },
    ] as const;
  });
  return { ...model, parameters: Object.fromEntries(moved) };
}

/** Each sample's gradients by the loop, in float64. */
export function loop(
  model: Model,
  data: Fed,
  options: ObjectiveOptions = squares,
): ReadonlyMap<string, Float64Array>[] {
  const oracle = new Oracle(objectiveOf(model, options), data);
  return Array.from({ length: oracle.samples }, (_, n) => oracle.sample(n).gradients);
}

/** Per-sample gradients against the loop, the loop against differences, and norms and sums against the loop. */
export async function expectAgreement(
  model: Model,
  data: Fed,
  { secondDerivatives = true, ...options }: ObjectiveOptions & { readonly secondDerivatives?: boolean } = squares,
): Promise<void> {
  const { passed, parameters, wants } = await check(model, data, { ...options, secondDerivatives, differences: 6 });
  expect(passed, JSON.stringify([...parameters, ...wants], null, 1)).toBe(true);
  const program = await perSample(model, { ...options, want: { norms: want.norms(), sum: want.sum() } });
  const { norms, sum } = await program.run(data);
  await program.release();
  const samples = loop(model, data, options);
  const normOf = (arrays: readonly Float64Array[]) =>
    Math.sqrt(arrays.flatMap((own) => [...own]).reduce((s, x) => s + x * x, 0));
  const totals = samples.map((own) => normOf([...own.values()]));
  expectClose(norms.total.data, totals, 1e-4, "norms");
  const floor = 1e-3 * Math.max(...totals);
  for (const name of program.parameters) {
    const own = samples.map((gradients) => gradients.get(name) ?? new Float64Array());
    expectClose(
      norms.parameters[name]?.data ?? [],
      own.map((each) => normOf([each])),
      1e-4,
      `norms of ${name}`,
      floor,
    );
    const total = own.reduce(
      (all, each) => all.map((x, i) => x + (each[i] ?? 0)),
      new Float64Array(own[0]?.length ?? 0),
    );
    expectClose(sum[name]?.data ?? [], total, 1e-4, `sum of ${name}`, floor);
  }
}

/** Indices below `size`, [N, ...]. */
export function draw(source: Random, dims: readonly number[], size: number): Tensor<"int64"> {
  return integers(
    dims,
    Array.from({ length: sizeOf(dims) }, () => Math.floor(source.uniform(0, size))),
  );
}
