/** From modules and forward functions to models. */
import { PergradError } from "../errors.js";
import { type DimSpec, isBatch, showShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Model } from "../model.js";
import type { DType } from "../tensor.js";
import { input, parameter } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { Traced } from "../trace/traced.js";
import { type Bound, drawParameters, type Module, type Parts, parametersOf, Tracing } from "./module.js";

/** The shape of an input, and its dtype where it is not float32. The axis of size "N" holds the samples. */
export type InputSpec = readonly DimSpec[] | { readonly shape: readonly DimSpec[]; readonly dtype?: DType };

export interface TraceOptions {
  /** Initial values of the parameters are drawn from this; 0 unless given. */
  readonly seed?: number;
}

export interface ModelOptions extends TraceOptions {
  /** The one input of the module, by its name; "x" of the module's own input shape unless given. */
  readonly input?: Readonly<Record<string, InputSpec>>;
}

/**
 * A model of any number of inputs and outputs: `forward` sees the inputs and the parts (parameters, and
 * modules as functions) by their names. A single result is named "output".
 */
export function trace<I extends Readonly<Record<string, InputSpec>>, P extends Parts>(
  inputs: I,
  parts: P,
  forward: (inputs: { readonly [K in keyof I]: Traced }, parts: Bound<P>) => Traced | Readonly<Record<string, Traced>>,
  { seed = 0 }: TraceOptions = {},
): Model {
  const fed = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, inputOf(name, spec)]));
  const specs = parametersOf(parts);
  const parameters = drawParameters(specs, seed);
  const traced = Object.fromEntries(
    Object.entries(parameters).map(([name, tensor]) => [name, parameter(name, tensor.dims, tensor)]),
  );
  checkNames(Object.keys(fed), Object.keys(traced));
  const outputs = forward(fed as { readonly [K in keyof I]: Traced }, new Tracing(specs, traced).bind(parts));
  return {
    graph: {
      inputs: valuesOf(fed),
      parameters: valuesOf(traced),
      outputs: namedOutputs(outputs),
    },
    parameters,
    sampleAxes: Object.fromEntries(Object.entries(fed).map(([name, { value }]) => [name, sampleAxisOf(value)])),
    leftOut: {},
    notes: [],
  };
}

/** The model of a module. */
export function model(of: Module, { input: given, ...options }: ModelOptions = {}): Model {
  const inputs = given ?? (of.inputShape ? { x: of.inputShape } : undefined);
  if (!inputs) {
    throw invalid(
      `The input shape of "${of.name}" is not known; give it: nn.model(..., { input: { x: ["N", ...] } }).`,
    );
  }
  const names = Object.keys(inputs);
  if (names.length !== 1) throw invalid(`A module has one input, not ${names.length}; use nn.trace for more.`);
  return trace(
    inputs,
    of.parameters,
    (fed, parts) => forwardNamed(of, fed[names[0] as string] as Traced, parts),
    options,
  );
}

/** The forward pass; errors name the module. */
function forwardNamed(of: Module, x: Traced, parameters: Readonly<Record<string, Traced>>): Traced {
  try {
    return of.forward(x, parameters);
  } catch (error) {
    throw error instanceof PergradError
      ? new PergradError(error.code, `${of.name}: ${error.message}`, { cause: error })
      : error;
  }
}

function inputOf(name: string, spec: InputSpec): Traced {
  return "shape" in spec ? input(name, spec.shape, spec.dtype) : input(name, spec);
}

function valuesOf(traced: Readonly<Record<string, Traced>>): Value[] {
  return Object.values(traced).map(({ value }) => value);
}

function checkNames(inputs: readonly string[], parameters: readonly string[]): void {
  const both = inputs.find((name) => parameters.includes(name));
  if (both) throw invalid(`An input and a parameter are both named "${both}".`);
}

function namedOutputs(outputs: Traced | Readonly<Record<string, Traced>>): { name: string; value: Value }[] {
  const named = outputs instanceof Traced ? { output: outputs } : outputs;
  const list = Object.entries(named ?? {});
  if (list.length === 0) throw new PergradError("MISSING_TENSOR", "The forward function returned no output.");
  return list.map(([name, output]) => {
    if (!(output instanceof Traced)) throw invalid(`The output "${name}" is not a traced tensor.`);
    return { name, value: output.value };
  });
}

function sampleAxisOf({ name, shape }: Value): number | null {
  const axes = shape.flatMap((dim, axis) => (isBatch(dim) ? [axis] : []));
  if (axes.length > 1)
    throw invalid(`Input "${name}": more than one axis of ${showShape(shape)} grows with the batch.`);
  return axes[0] ?? null;
}
