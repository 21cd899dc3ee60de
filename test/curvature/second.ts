/** Second derivatives of a drawn model: against differences of gradients, symmetric, and the same from the runtime. */
import { expect } from "vitest";
import type { ObjectiveOptions } from "../../src/compile/objective.js";
import type { Model } from "../../src/graph/model.js";
import { perSample } from "../../src/program/per-sample.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { type ByParameter, want } from "../../src/wants/want.js";
import { tensorsIn } from "../support/tensors-in.js";
import { inFloat64 } from "./support.js";

type Data = Readonly<Record<string, Tensor>>;

/** A direction for every parameter; others for another phase. */
export function direction({ parameters }: Model, phase: number): ByParameter {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, { dims, data }], j) => {
      const waves = data.map((_, k) => Math.sin(1.7 * (k + 1) + 2.3 * j + phase));
      return [name, { dtype: "float32" as const, dims, data: waves }];
    }),
  );
}

const largest = (data: ArrayLike<number>) => Array.from(data).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** The model with its parameters moved along a direction. */
function moved(model: Model, along: ByParameter, by: number): Model {
  const parameters = Object.entries(model.parameters).map(([name, tensor]) => {
    const own = along[name]?.data ?? [];
    const data = Float64Array.from(tensor.data, (x, k) => x + by * (own[k] ?? 0));
    // The reference reads numbers as they are.
    return [name, { ...tensor, data: data as unknown as Float32Array }];
  });
  return { ...model, parameters: Object.fromEntries(parameters) };
}

type Arrays = ReadonlyMap<string, { readonly data: Float64Array }>;

function gradients(model: Model, options: ObjectiveOptions, data: Data): Arrays {
  return inFloat64(model, options, { g: want.gradients() }, data);
}

/** Richardson's extrapolation of two central differences of each sample's gradients. */
function differences(model: Model, options: ObjectiveOptions, data: Data, vector: ByParameter): Map<string, number[]> {
  const step = 1e-4;
  const [near, far] = [step, 2 * step].map((by) => {
    const [up, down] = [by, -by].map((side) => gradients(moved(model, vector, side), options, data));
    const quotient = ([name, { data: own }]: readonly [string, { readonly data: Float64Array }]) =>
      [name.slice(2), Array.from(own, (x, k) => (x - (down?.get(name)?.data[k] ?? 0)) / (2 * by))] as const;
    return new Map([...(up ?? [])].map(quotient));
  });
  return new Map(
    [...(near ?? [])].map(([name, own]) => [name, own.map((x, k) => (4 * x - (far?.get(name)?.[k] ?? 0)) / 3)]),
  );
}

/** For each sample the inner product of a direction with its product. */
function products(found: Arrays, want: string, vector: ByParameter, samples: number): number[] {
  return Array.from({ length: samples }, (_, n) =>
    Object.entries(vector).reduce((total, [name, { data }]) => {
      const own = found.get(`${want}/${name}`)?.data;
      return data.reduce((sum, x, k) => sum + x * (own?.[n * data.length + k] ?? 0), total);
    }, 0),
  );
}

/** Throws where they are not. @param samples that the data holds */
export async function checkSecond(model: Model, options: ObjectiveOptions, data: Data, samples: number): Promise<void> {
  const [v, u] = [direction(model, 0), direction(model, 1)];
  const wants = {
    hv: want.hvp({ vector: v }),
    hu: want.hvp({ vector: u }),
    gv: want.ggnProduct({ vector: v }),
  };
  const found = inFloat64(model, options, wants, data);
  const all = [...found].filter(([name]) => name.startsWith("hv/"));
  const size = Math.max(...all.map(([, { data: own }]) => largest(own)), 0);
  const slope = Math.max(...[...gradients(model, options, data).values()].map(({ data: own }) => largest(own)), 0);
  const scale = Math.max(size, slope, 1e-3);
  for (const [name, expected] of differences(model, options, data, v)) {
    const own = found.get(`hv/${name}`)?.data ?? [];
    const error = largest(expected.map((x, k) => x - (own[k] ?? Number.NaN)));
    expect(error, `differences of the gradients of ${name}`).toBeLessThanOrEqual(2e-5 * scale);
  }
  const [uHv, vHu] = [products(found, "hv", u, samples), products(found, "hu", v, samples)];
  uHv.forEach((x, n) => {
    expect(Math.abs(x - (vHu[n] ?? Number.NaN)), `symmetry, sample ${n}`).toBeLessThanOrEqual(1e-9 * scale * 1e2);
  });
  const program = await perSample(model, { ...options, want: wants, threads: 1 });
  const run = new Map(tensorsIn(await program.run(data)));
  await program.release();
  for (const [name, { data: expected }] of found) {
    const own = run.get(`/${name}`)?.data ?? [];
    const error = largest(expected.map((x, k) => x - (own[k] ?? Number.NaN)));
    expect(error, `the program's ${name}`).toBeLessThanOrEqual(2e-4 * scale);
  }
}
