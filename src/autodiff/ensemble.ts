/** Models with many sets of parameters: several evaluated on one batch, or each sample with its own. */

import { SampleAxes } from "../analysis/sample-axes.js";
import { PergradError } from "../errors.js";
import { isBody } from "../graph/body.js";
import { bindShape, type Dim, isBatch, N, showShape } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { outputOf } from "../graph/operands.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import { type Attributes, dimsValue, leaf, type Node, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { batchOver } from "./vmap.js";

/** Options of `ensemble`. */
export interface EnsembleOptions {
  /** The sets of parameters, each `[K, ...]`, by name. Default: the model's own, K times. */
  readonly parameters?: Readonly<Record<string, Tensor<"float32">>>;
}

/**
 * K models in one: parameters `[K, ...]`, outputs `[K, ...]` followed by the model's own shape (`[K, N, C]` for `[N,
 * C]`). All K share the inputs, and values that depend on inputs alone are computed once. Per-sample gradients with
 * respect to the parameters are `[N, K, ...]`. Throws INVALID_ARGUMENT, SHAPE_MISMATCH, UNSUPPORTED_OP.
 */
export function ensemble(model: Model, sets: number, { parameters = {} }: EnsembleOptions = {}): Model {
  if (!Number.isSafeInteger(sets) || sets < 1) {
    throw new PergradError("INVALID_ARGUMENT", `An ensemble has a whole number of models from 1 up, not ${sets}.`);
  }
  const many = new Map(model.graph.parameters.map((own) => [own, withLeading(own, sets, "parameter")]));
  const outputs = model.graph.outputs.map(({ value }) => value);
  const batched = batchOver(outputs, many);
  const named = model.graph.outputs.map(({ name, value }, k) => {
    const spread = () => build.expand(build.unsqueeze(value, [0]), [sets, ...value.shape]);
    return { name, value: batched[k] ?? spread() };
  });
  const tensors = model.graph.parameters.map(
    ({ name }) => [name, setsOf(model, name, sets, parameters[name])] as const,
  );
  return {
    ...model,
    graph: { inputs: model.graph.inputs, parameters: [...many.values()], outputs: named },
    parameters: Object.fromEntries(tensors),
  };
}

function withLeading(own: Value, leading: Dim, kind: "input" | "parameter"): Value {
  return leaf(own.name, { dtype: own.dtype, shape: [leading, ...own.shape] }, { kind });
}

function setsOf(model: Model, name: string, sets: number, given: Tensor<"float32"> | undefined): Tensor<"float32"> {
  const own = model.parameters[name];
  if (!own) throw new PergradError("MISSING_TENSOR", `The parameter "${name}" has no value; give its sets.`);
  const dims = [sets, ...own.dims];
  if (!given) {
    const data = new Float32Array(sizeOf(dims));
    for (let k = 0; k < sets; k++) data.set(own.data, k * own.data.length);
    return { dtype: "float32", dims, data };
  }
  if (given.dims.length === dims.length && given.dims.every((dim, axis) => dim === dims[axis])) return given;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `The sets of "${name}" are ${showShape(given.dims)}, but ${sets} of ${showShape(own.dims)} are needed: ${showShape(dims)}.`,
  );
}

/**
 * The model with separate parameters for each sample: they become inputs `[N, ...]` under their own names, next to the
 * model's inputs; outputs keep their shapes. Use it, for example, for parameters that were adapted to each task.
 * @throws PergradError SAMPLES_INTERACT, UNSUPPORTED_OP.
 */
export function perSampleParameters(model: Model): Model {
  const { inputs, parameters, outputs } = model.graph;
  const sampled = inputs.flatMap((input) => {
    const axis = model.sampleAxes[input.name] ?? null;
    return axis === null ? [] : [[input, axis] as const];
  });
  const axes = new SampleAxes(new Map(sampled));
  const single = new Map(sampled.map(([input]) => [input, ofOneSample(input)]));
  const values = outputs.map(({ value }) => value);
  const alone = rebuilt(values, single);
  const own = new Map(parameters.map((parameter) => [parameter, withLeading(parameter, N, "input")]));
  const each = sampled.map(([input, axis]) => {
    const first = build.moveAxis(input, axis, 0);
    return [present(single.get(input)), build.unsqueeze(first, [axis + 1])] as const;
  });
  const batched = batchOver(alone, new Map([...own, ...each]));
  const named = outputs.map(({ name, value }, k) => {
    const result = batched[k];
    return { name, value: result ? samplesBack(result, value, axes.of(value)) : value };
  });
  const added = [...own.values()];
  return {
    ...model,
    graph: { inputs: [...inputs, ...added], parameters: [], outputs: named },
    parameters: {},
    sampleAxes: { ...model.sampleAxes, ...Object.fromEntries(added.map(({ name }) => [name, 0])) },
  };
}

function ofOneSample(value: Value): Value {
  return leaf(value.name, { dtype: value.dtype, shape: bindShape(value.shape, 1) }, { kind: "input" });
}

/** The same graph for a batch of one sample; the sample axis stays, with size 1. */
function rebuilt(outputs: readonly Value[], leaves: ReadonlyMap<Value, Value>): Value[] {
  const current = new Map(leaves);
  const of = (value: Value): Value => {
    const { source } = value;
    if (source.kind === "dims" && source.dims.some(isBatch)) return dimsValue(bindShape(source.dims, 1), source.scalar);
    return current.get(value) ?? value;
  };
  for (const node of nodesBefore(outputs, leaves)) {
    const { op, domain, name } = node;
    const inputs = node.inputs.map((input) => (input ? of(input) : null));
    const made = build.node(op, inputs, attributesOfOne(node), node.outputs.length, { domain, name });
    node.outputs.forEach((output, k) => {
      current.set(output, outputOf(made, k));
    });
  }
  return outputs.map(of);
}

function attributesOfOne({ attributes }: Node): Attributes {
  const { body } = attributes;
  if (!isBody(body)) return attributes;
  const inputs = body.inputs.map(ofOneSample);
  const leaves = new Map(body.inputs.map((input, k) => [input, nth(inputs, k)]));
  return { ...attributes, body: { inputs, outputs: rebuilt(body.outputs, leaves) } };
}

/** Moves the samples from the first axis to the place of the sample axis, which has size 1. */
function samplesBack(result: Value, original: Value, at: SampleAxis | null): Value {
  if (!at) return result;
  const { axis, outer, inner } = at;
  const before = original.shape.slice(0, axis);
  const behind = original.shape.slice(axis + 1);
  const split = build.reshape(result, [N, ...before, outer, inner, ...behind]);
  return build.reshape(build.moveAxis(split, 0, axis + 1), original.shape);
}
