/** The inputs and parameters of a graph that is being drawn, with their data. */

import type { Array64 } from "../../../src/float64/array64.js";
import { array64 } from "../../../src/float64/array64.js";
import { N, type Shape } from "../../../src/graph/dim.js";
import type { Model } from "../../../src/graph/model.js";
import { constantValue, leaf, type Value } from "../../../src/graph/value.js";
import { evaluateGraph } from "../../../src/interpret/evaluate.js";
import { type DType, sizeOf, type Tensor } from "../../../src/tensor/tensor.js";
import { typed } from "../op-checks.js";

/** A model whose output is its loss, with data for it. */
export interface Drawn {
  readonly model: Model;
  readonly data: Readonly<Record<string, Tensor>>;
}

export class Leaves {
  readonly inputs: Value[] = [];
  readonly parameters: Value[] = [];
  readonly data: Record<string, Tensor> = {};
  readonly initial: Record<string, Tensor<"float32">> = {};
  readonly sampleAxes: Record<string, number | null> = {};
  readonly axes = new Map<Value, number>();
  readonly #known = new Map<Value, Array64>();

  constructor(readonly samples: number) {}

  /** An input whose samples lie along `axis`; `parts[n]` holds sample n, of dimensions `dims`. */
  input(dims: readonly number[], axis: number, parts: readonly ArrayLike<number>[], dtype: DType = "float32"): Value {
    const shape: Shape = [...dims.slice(0, axis), N, ...dims.slice(axis)];
    const value = leaf(`x${this.inputs.length}`, { dtype, shape }, { kind: "input" });
    const behind = sizeOf(dims.slice(axis));
    const data: number[] = [];
    for (let from = 0; from < sizeOf(dims); from += behind) {
      for (const part of parts) for (let i = 0; i < behind; i++) data.push(part[from + i] as number);
    }
    const full = [...dims.slice(0, axis), this.samples, ...dims.slice(axis)];
    this.#add(value, typed({ dims: full, data }, dtype), axis);
    return value;
  }

  /** An input that all samples share. */
  shared(dims: readonly number[], data: ArrayLike<number>, dtype: DType): Value {
    const value = leaf(`x${this.inputs.length}`, { dtype, shape: dims }, { kind: "input" });
    this.#add(value, typed({ dims, data }, dtype), null);
    return value;
  }

  #add(value: Value, tensor: Tensor, axis: number | null): void {
    this.inputs.push(value);
    this.data[value.name] = tensor;
    this.sampleAxes[value.name] = axis;
    if (axis !== null) this.axes.set(value, axis);
    this.#known.set(value, array64(tensor.dims, Array.from(tensor.data as ArrayLike<number>, Number)));
  }

  parameter(dims: readonly number[], data: ArrayLike<number>): Value {
    const value = leaf(`p${this.parameters.length}`, { dtype: "float32", shape: dims }, { kind: "parameter" });
    const tensor: Tensor<"float32"> = { dtype: "float32", dims, data: Float32Array.from(data) };
    this.parameters.push(value);
    this.initial[value.name] = tensor;
    this.#known.set(value, array64(dims, Array.from(tensor.data, Number)));
    return value;
  }

  constant(dims: readonly number[], data: ArrayLike<number>, dtype: DType = "float32"): Value {
    return constantValue(typed({ dims, data }, dtype));
  }

  /** The largest magnitude in a value, by the reference; at least 1. */
  largest(value: Value): number {
    const [array] = evaluateGraph([value], this.#known, this.samples);
    this.#known.set(value, array as Array64);
    return (array as Array64).data.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  }

  /** The model of these losses. */
  drawn(losses: Value): Drawn {
    const { inputs, parameters, initial, sampleAxes, data } = this;
    const graph = { inputs, parameters, outputs: [{ name: "losses", value: losses }] };
    return { model: { graph, parameters: initial, sampleAxes, leftOut: {}, notes: [] }, data };
  }
}
