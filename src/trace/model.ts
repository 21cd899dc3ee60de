/** A model as traced values, for further computation and differentiation. */
import { substitute } from "../graph/body.js";
import type { Model } from "../graph/model.js";
import { leaf } from "../graph/value.js";
import { nth } from "../present.js";
import { Traced } from "./traced.js";

/** The inputs, parameters and outputs of a model, by their names. */
export interface TracedModel {
  /** The inputs with the model's shapes: the samples lie along `model.sampleAxes`. */
  readonly inputs: Readonly<Record<string, Traced>>;
  /** The parameters, with the model's values as initial values. */
  readonly parameters: Readonly<Record<string, Traced>>;
  /** The results that the model computes from them. */
  readonly outputs: Readonly<Record<string, Traced>>;
}

/**
 * A model, loaded or made with `nn`, as traced values. What you compute from its outputs can be differentiated by
 * `grad`, `jvp`, `vjp`, `hvp` and `jacobian`, with respect to parameters and inputs, and run by `compile`, which takes
 * the parameters' values from the model.
 */
export function traced({ graph, parameters }: Model): TracedModel {
  const own = graph.parameters.map((value) => {
    const initial = parameters[value.name];
    const made = leaf(value.name, value, { kind: "parameter", ...(initial ? { initial } : {}) });
    return [value, made] as const;
  });
  const values = substitute(
    graph.outputs.map(({ value }) => value),
    new Map(own),
  );
  return {
    inputs: Object.fromEntries(graph.inputs.map((value) => [value.name, new Traced(value)])),
    parameters: Object.fromEntries(own.map(([{ name }, made]) => [name, new Traced(made)])),
    outputs: Object.fromEntries(graph.outputs.map(({ name }, k) => [name, new Traced(nth(values, k))])),
  };
}
