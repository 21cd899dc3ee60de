/** Makes models from modules and forward functions. */

import { PergradError } from "../errors.js";
import { type DimSpec, isBatch, showShape } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { entryOf, nth, present } from "../present.js";
import type { DType } from "../tensor/tensor.js";
import { input, parameter } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { Traced } from "../trace/traced.js";
import {
  type Bound,
  checkGiven,
  drawParameters,
  type Module,
  type ModuleParts,
  parametersOf,
  type SideInput,
  sideInputsOf,
  Tracing,
} from "./module.js";

/** The shape of an input, and its dtype if it is not float32. The axis of size "N" holds the samples. */
export type InputSpec =
  | readonly DimSpec[]
  | {
      /** Its sizes: numbers, and "N" for the samples. */
      readonly shape: readonly DimSpec[];
      /** Its element type. Default "float32". */
      readonly dtype?: DType;
    };

/** Options of `trace`. */
export interface TraceOptions {
  /** Initial values of the parameters are drawn from this; default 0. */
  readonly seed?: number;
}

/** How a model is made of a module. */
export interface ModelOptions extends TraceOptions {
  /**
   * The input of the module, by its name. Default: "x", with the module's own input shape. Also the inputs that
   * the module takes optionally: `{ x: ["N", 16, 64], mask: ["N", 16] }`.
   */
  readonly input?: Readonly<Record<string, InputSpec>>;
}

/**
 * A model of any number of inputs and outputs: `forward` sees the inputs and the parts (parameters, and
 * modules as functions) by their names. A single result is named "output". An input that a part requires (the
 * seed of a dropout) and that is not among the inputs is added; optional ones are passed to the part:
 * `layer(x, { mask })`.
 * @throws PergradError INVALID_ARGUMENT: a name is used twice, an input has two sample axes, or `forward` returns no traced tensors.
 * @throws PergradError MISSING_TENSOR: `forward` returns nothing.
 */
export function trace<I extends Readonly<Record<string, InputSpec>>, P extends ModuleParts>(
  inputs: I,
  parts: P,
  forward: (inputs: { readonly [K in keyof I]: Traced }, parts: Bound<P>) => Traced | Readonly<Record<string, Traced>>,
  options: TraceOptions = {},
): Model {
  const fed = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, inputOf(name, spec)]));
  return traceWith(
    fed,
    sideInputsOf(parts),
    parts,
    forward as (fed: Named, parts: Bound<P>) => Traced | Named,
    options,
  );
}

type Named = Readonly<Record<string, Traced>>;

/** Traces with inputs that are there already; adds those that the parts need. */
function traceWith<P extends ModuleParts>(
  given: Named,
  taken: Readonly<Record<string, SideInput>>,
  parts: P,
  forward: (fed: Named, parts: Bound<P>) => Traced | Named,
  { seed = 0 }: TraceOptions,
): Model {
  const needed = Object.entries(taken).flatMap(([name, { dtype, shape }]) => (shape ? [{ name, dtype, shape }] : []));
  const added = needed.filter(({ name }) => !Object.hasOwn(given, name));
  const fed = {
    ...given,
    ...Object.fromEntries(added.map((own) => [own.name, input(own.name, own.shape, own.dtype)])),
  };
  const around = Object.fromEntries(needed.map(({ name }) => [name, entryOf(fed, name)]));
  const specs = parametersOf(parts);
  const parameters = drawParameters(specs, seed);
  const traced = Object.fromEntries(
    Object.entries(parameters).map(([name, tensor]) => [name, parameter(name, tensor.dims, tensor)]),
  );
  checkNames(Object.keys(fed), Object.keys(traced));
  const outputs = namedOutputs(forward(fed, new Tracing(specs, traced, around).bind(parts)));
  const reached = new Set(leavesOf(outputs.map(({ value }) => value)));
  const inputs = valuesOf(fed).filter((value) => Object.hasOwn(given, value.name) || reached.has(value));
  return {
    graph: { inputs, parameters: valuesOf(traced), outputs },
    parameters,
    sampleAxes: Object.fromEntries(inputs.map((value) => [value.name, sampleAxisOf(value)])),
    leftOut: {},
    notes: [],
  };
}

/**
 * A model that consists of one module.
 * @throws PergradError INVALID_ARGUMENT: the input shape is not known, or the module has another number of inputs.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH: the input does not fit a layer, which the message names.
 */
export function model(of: Module, { input: given, ...options }: ModelOptions = {}): Model {
  const inputs = given ?? (of.inputShape ? { x: of.inputShape } : undefined);
  if (!inputs) {
    throw invalid(
      `The input shape of "${of.name}" is not known; give it: nn.model(..., { input: { x: ["N", ...] } }).`,
    );
  }
  const side = of.inputs ?? {};
  const names = Object.keys(inputs).filter((name) => !Object.hasOwn(side, name));
  if (names.length !== 1) {
    const beside = Object.keys(side).map((name) => `"${name}"`);
    const known = beside.length > 0 ? ` beside ${beside.join(" and ")}` : "";
    throw invalid(`A module has one input, not ${names.length}${known}; use nn.trace for more.`);
  }
  const fed = Object.entries(inputs).map(([name, spec]) => [name, inputOf(name, spec, side[name]?.dtype)] as const);
  const forward = (all: Named, parameters: Named) => forwardNamed(of, all, nth(names, 0), parameters);
  return traceWith(Object.fromEntries(fed), side, of.parameters, forward, options);
}

/** The forward pass; errors name the module. */
function forwardNamed(of: Module, fed: Named, first: string, parameters: Named): Traced {
  const { [first]: x, ...side } = fed;
  try {
    checkGiven(of, side);
    return of.forward(present(x), parameters, side);
  } catch (error) {
    throw error instanceof PergradError
      ? new PergradError(error.code, `${of.name}: ${error.message}`, { cause: error })
      : error;
  }
}

/** An input of the given dtype, else of `dtype`. */
function inputOf(name: string, spec: InputSpec, dtype?: DType): Traced {
  return "shape" in spec ? input(name, spec.shape, spec.dtype ?? dtype) : input(name, spec, dtype);
}

function valuesOf(traced: Readonly<Record<string, Traced>>): Value[] {
  return Object.values(traced).map(({ value }) => value);
}

function checkNames(inputs: readonly string[], parameters: readonly string[]): void {
  const both = inputs.find((name) => parameters.includes(name));
  if (both) throw invalid(`An input and a parameter are both named "${both}"; rename one.`);
}

function namedOutputs(outputs: Traced | Readonly<Record<string, Traced>>): { name: string; value: Value }[] {
  const named = outputs instanceof Traced ? { output: outputs } : outputs;
  const list = Object.entries(named ?? {});
  if (list.length === 0)
    throw new PergradError(
      "MISSING_TENSOR",
      "The forward function returned no output; return a traced tensor, or several by name.",
    );
  return list.map(([name, output]) => {
    if (!(output instanceof Traced))
      throw invalid(`The output "${name}" is not a traced tensor; return what is computed from the inputs.`);
    return { name, value: output.value };
  });
}

function sampleAxisOf({ name, shape }: Value): number | null {
  const axes = shape.flatMap((dim, axis) => (isBatch(dim) ? [axis] : []));
  if (axes.length > 1)
    throw invalid(
      `Input "${name}": more than one axis of ${showShape(shape)} grows with the batch; leave N in one of them.`,
    );
  return axes[0] ?? null;
}
