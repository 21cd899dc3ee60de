/** A model with its loss: the graph from inputs and parameters to one loss for each sample. */

import { labelLimits } from "../analysis/label-limits.js";
import { lengthLimits } from "../analysis/length-limits.js";
import { rowLimits } from "../analysis/row-limits.js";
import { SampleAxes } from "../analysis/sample-axes.js";
import { checkGlobs } from "../arguments.js";
import { PergradError } from "../errors.js";
import { type DimSpec, isBatch, N, parseDim, showShape } from "../graph/dim.js";
import type { Expected, Model } from "../graph/model.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import { selectByGlob } from "../graph/select-names.js";
import { leaf, type Value } from "../graph/value.js";
import { leavesOf, nodesBefore } from "../graph/walk.js";
import { asLoss, type LossName } from "../nn/as-loss.js";
import type { GivenTarget, Loss, LossFunction } from "../nn/loss.js";
import { build } from "../ops/registry.js";
import type { DType, Tensor } from "../tensor/tensor.js";
import { Traced } from "../trace/traced.js";

export interface ObjectiveOptions {
  /**
   * How an output becomes one loss per sample: one of `losses`, its name as on the command line ("cross_entropy",
   * "mse", ...), or a traced function of output and target that returns `[N]`.
   */
  readonly loss: Loss | LossFunction | LossName;
  /** The output that the loss reads, if the model has several. Default: the first. */
  readonly output?: string;
  /** The axis that holds the samples in that output, to override the one that is found. */
  readonly outputSampleAxis?: number;
  /** The target's dtype and shape (N first), where the loss leaves them open. */
  readonly target?: { readonly dtype?: DType; readonly shape: readonly DimSpec[] };
  /** Names or globs of the parameters to differentiate with respect to. Default: all that the loss depends on. */
  readonly parameters?: readonly string[];
  /** Names or globs of parameters that are held fixed: they get no gradient. Default: none. */
  readonly frozen?: readonly string[];
}

export interface Objective {
  readonly model: Model;
  /** The options that it was made with. */
  readonly options: ObjectiveOptions;
  readonly loss: Loss;
  /** `[N]` */
  readonly losses: Value;
  readonly outputs: Readonly<Record<string, Value>>;
  /** The output that the loss reads, samples first. */
  readonly output: Value;
  /** The model's inputs, and `target` if the loss has one. */
  readonly expected: ReadonlyMap<string, Expected>;
  /** The parameters to differentiate with respect to, by name; the losses depend on each of them. */
  readonly parameters: ReadonlyMap<string, Value>;
  readonly axes: SampleAxes;
  /** Remarks on the model and the loss: choices that could have been made otherwise. */
  readonly notes: readonly string[];
}

export const targetName = "target";

/** What a program that computes these results expects for the model's inputs. */
export function expectedInputs({ graph, sampleAxes }: Model, results: readonly Value[]): Map<string, Expected> {
  const [limits, labels, rows] = [lengthLimits(results), labelLimits(results), rowLimits(results)];
  return new Map(
    graph.inputs.map((value) => [
      value.name,
      {
        value,
        sampleAxis: sampleAxes[value.name] ?? null,
        atMost: limits.get(value),
        labels: labels.get(value),
        rows: rows.get(value),
      },
    ]),
  );
}

/**
 * @throws PergradError SAMPLES_INTERACT, NO_PARAMETERS, MISSING_TENSOR (no such output), SHAPE_MISMATCH (output and
 * target do not fit).
 */
export function objectiveOf(model: Model, options: ObjectiveOptions): Objective {
  const inputs = expectedInputs(
    model,
    model.graph.outputs.map(({ value }) => value),
  );
  const plain = SampleAxes.ofInputs(model.graph.inputs, model.sampleAxes);
  const loss = asLoss(options.loss);
  const { value: chosen, name } = outputOf(model, options.output ?? loss.output);
  const output = samplesFirst(name, chosen, plain, options.outputSampleAxis);
  const given = givenTarget(options.target);
  const target = targetOf(output, loss, given, inputs);
  const axes = target ? plain.and(target) : plain;
  const losses = loss.apply(new Traced(output), target ? new Traced(target) : null).value;
  checkLosses(losses, axes, loss);
  const used = new Set(leavesOf([losses]));
  const expected = new Map(target ? [...inputs, [targetName, { value: target, sampleAxis: 0 }] as const] : inputs);
  const outputs = Object.fromEntries(model.graph.outputs.map(({ name, value }) => [name, value]));
  const parameters = parametersOf(model, used, options);
  const notes = [...model.notes, ...(loss.notes?.(output, given) ?? [])];
  return { model, options, loss, losses, outputs, output, expected, parameters, axes, notes };
}

function outputOf(model: Model, name: string | undefined): { readonly name: string; readonly value: Value } {
  const found =
    name === undefined ? model.graph.outputs[0] : model.graph.outputs.find((output) => output.name === name);
  if (found) return found;
  const why = name !== undefined && Object.hasOwn(model.leftOut, name) ? model.leftOut[name] : undefined;
  if (why !== undefined) {
    throw new PergradError("UNSUPPORTED_OP", `pergrad cannot compute the model's output "${name}": ${why}`);
  }
  const names = model.graph.outputs.map((output) => `"${output.name}"`).join(", ");
  throw new PergradError("MISSING_TENSOR", `The model has no output "${name}"; its outputs are ${names}.`);
}

/** The output with its sample axis moved to the front and separated from what it is folded with. */
function samplesFirst(name: string, value: Value, axes: SampleAxes, given: number | undefined): Value {
  const found = axes.of(value);
  const at: SampleAxis | null =
    given !== undefined && (found === null || found.uniform) ? { axis: given, outer: 1, inner: 1 } : found;
  if (at === null) {
    throw new PergradError(
      "SAMPLES_INTERACT",
      `The output "${name}" ${showShape(value.shape)} does not depend on the samples, so there is nothing to differentiate per sample; choose another output, or state which inputs hold the samples.`,
    );
  }
  if (given !== undefined && at.axis !== given) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The output "${name}" ${showShape(value.shape)} has its samples along axis ${at.axis}, not ${given}; leave out its sample axis, or correct those of the inputs.`,
    );
  }
  const { axis, outer, inner } = at;
  const kept = (size: number) => (size === 1 ? [] : [size]);
  const split = [...value.shape.slice(0, axis), ...kept(outer), N, ...kept(inner), ...value.shape.slice(axis + 1)];
  return build.moveAxis(build.reshape(value, split), axis + kept(outer).length, 0);
}

function givenTarget(target: ObjectiveOptions["target"]): GivenTarget | undefined {
  return target && { ...(target.dtype ? { dtype: target.dtype } : {}), shape: target.shape.map(parseDim) };
}

function targetOf(
  output: Value,
  loss: Loss,
  given: GivenTarget | undefined,
  inputs: ReadonlyMap<string, Expected>,
): Value | null {
  const type = loss.target(output, given);
  if (!type) return null;
  if (inputs.has(targetName)) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The model has an input named "${targetName}", which is the name of the loss's target; rename the input, or use a loss that is an output of the model.`,
    );
  }
  return leaf(targetName, type, { kind: "input" });
}

function checkLosses(losses: Value, axes: SampleAxes, loss: Loss): void {
  const at = axes.of(losses);
  const perSample = losses.shape.length === 1 && isBatch(losses.shape[0]) && losses.shape[0].perSample === 1;
  if (at && perSample) return;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `The loss "${loss.name}" gives ${showShape(losses.shape)}, not one number per sample, [N]; reduce over every axis but the first.`,
  );
}

function parametersOf(
  model: Model,
  used: ReadonlySet<Value>,
  { parameters: globs = [], frozen = [] }: Pick<ObjectiveOptions, "parameters" | "frozen">,
): Map<string, Value> {
  checkGlobs("parameters", globs);
  checkGlobs("frozen", frozen);
  const reaching = model.graph.parameters.filter((parameter) => used.has(parameter));
  if (reaching.length === 0) {
    throw new PergradError(
      "NO_PARAMETERS",
      "No parameter of the model reaches the loss, so there is no gradient to compute; check which output the loss uses.",
    );
  }
  const names = reaching.map((parameter) => parameter.name);
  const held = new Set(frozen.length > 0 ? selectByGlob(names, frozen) : []);
  const selected = new Set(selectByGlob(names, globs).filter((name) => !held.has(name)));
  if (selected.size === 0) {
    throw new PergradError(
      "NO_PARAMETERS",
      "All parameters that reach the loss are frozen, so there is no gradient to compute; select one of them.",
    );
  }
  return new Map(reaching.flatMap((value) => (selected.has(value.name) ? [[value.name, value] as const] : [])));
}

/** The model's own value of a parameter. Throws MISSING_TENSOR. */
export function parameterValue(model: Pick<Model, "parameters">, { name }: Value): Tensor {
  const tensor = model.parameters[name];
  if (!tensor) throw new PergradError("MISSING_TENSOR", `The parameter "${name}" has no value; give its tensor.`);
  return tensor;
}

/** The model's values of all parameters that the losses depend on, trained or frozen. Throws MISSING_TENSOR. */
export function parameterFeeds({ model, losses }: Objective): Map<Value, Tensor> {
  const used = new Set(leavesOf([losses]));
  const parameters = model.graph.parameters.filter((parameter) => used.has(parameter));
  return new Map(parameters.map((parameter) => [parameter, parameterValue(model, parameter)]));
}

/**
 * The outputs of the model that the wanted results are computed from: the nodes that lead to them are the model's own.
 */
export function modelResults({ outputs }: Objective, wanted: readonly Value[]): Value[] {
  const computed = new Set(nodesBefore(wanted).flatMap((node) => node.outputs));
  return Object.values(outputs).filter((value) => computed.has(value));
}
