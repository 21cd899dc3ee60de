import type { Array64 } from "../../src/float64/array64.js";
import { type DimSpec, parseDim } from "../../src/graph/dim.js";
import type { Value } from "../../src/graph/value.js";
import { input, parameter, type Traced } from "../../src/trace/index.js";
import { type Case, numbers } from "./per-sample.js";

/** A loss to trace, with the shapes of what it reads. */
export interface Spec {
  readonly inputs: Record<
    string,
    { shape: DimSpec[]; axis?: number /** Integers, these over and over. */; ids?: number[] }
  >;
  readonly parameters: Record<string, number[]>;
  readonly loss: (v: Record<string, Traced>) => Traced;
  readonly samples: number;
}

function cycled(dims: readonly number[], ids: readonly number[]): Array64 {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dims, data: Float64Array.from({ length: size }, (_, i) => ids[(i * 7 + (i >> 2)) % ids.length] ?? 0) };
}

/** Traces a loss and draws data for it. */
export function makeCase(spec: Spec): Case {
  const values: Record<string, Traced> = {};
  const inputs = new Map<Value, Case["inputs"] extends ReadonlyMap<Value, infer V> ? V : never>();
  Object.entries(spec.inputs).forEach(([name, { shape, axis = 0, ids }], k) => {
    const traced = input(name, shape, ids ? "int64" : "float32");
    values[name] = traced;
    const dims = shape.map((dim) => {
      const parsed = parseDim(dim);
      return typeof parsed === "number" ? parsed : parsed.perSample * spec.samples;
    });
    inputs.set(traced.value, { axis, array: ids ? cycled(dims, ids) : numbers(dims, k + 1) });
  });
  const parameters = new Map<Value, Array64>();
  Object.entries(spec.parameters).forEach(([name, shape], k) => {
    const traced = parameter(name, shape);
    values[name] = traced;
    parameters.set(traced.value, numbers(shape, 50 + k));
  });
  return { losses: spec.loss(values).value, parameters, inputs, samples: spec.samples };
}
