/** From an objective and what is wanted of it to a plan, and from the plan to the graph of a program. */
import { perSampleGradients } from "../autodiff/per-sample.js";
import { PergradError } from "../errors.js";
import { usualBatch } from "../gradients/cost.js";
import { Dense } from "../gradients/dense.js";
import { N } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { leaf, type Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { build } from "../ops/registry.js";
import { storedAsFloat16 } from "../optimise/float16-results.js";
import { simplifyForRuntime } from "../optimise/simplify.js";
import { allDemands, asksOfGradients } from "../plan/choice.js";
import { Plan } from "../plan/planner.js";
import type { Preferred, Strategy } from "../plan/strategy.js";
import type { Others } from "../program/others.js";
import { type Apart, type ApartSizes, computedApart, usualApartSizes } from "../target/onnxruntime/apart.js";
import { frugalOrder, type Ordered } from "../target/onnxruntime/order.js";
import { areSmall, Handover, type HandoverMode } from "../target/onnxruntime/results.js";
import type { Wants } from "../wants/want.js";
import { hiddenNotNumbers } from "./hidden-nan.js";
import { type Joining, joiningOf, type Output } from "./joining.js";
import { modelResults, type Objective } from "./objective.js";
import { hiddenNaN, type Watch, watchFor } from "./watch.js";

/** How the ways are chosen. */
export interface PlanningOptions {
  /** The number of samples that the program is planned for: it runs with any. Default 64. */
  readonly batchSize?: number;
  /**
   * The data may hold NaN and infinity: what the model selects away of it contributes nothing to the gradients, in a
   * saved program too. Without it, `run` compiles that program when data that it is allowed to take first holds them.
   * Default false.
   */
  readonly allowNotFinite?: boolean;
  /** Ways to be taken whatever they cost, for experiments. Default: the cheapest by shape. */
  readonly strategy?: Strategy;
}

/** Names in the emitted graph: those of the model's own inputs and parameters, and `<want>/<tensor>` for results. */
export interface Emitted extends Ordered {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly vectors: readonly Vector[];
  readonly factors: readonly Factor[];
  readonly scalars: readonly Scalar[];
  readonly outputs: readonly Output[];
  /** How it is known that gradients are finite; undefined where there are none. */
  readonly watch: Watch | undefined;
  /** How the outputs are made of what the runtime gives, whose order and memory these are. */
  readonly handover: Handover;
  /** The same with large results computed apart, where that may take less memory. */
  readonly apart: Apart | undefined;
}

/** An input of a want's own: a tensor of a parameter's shape. */
interface Vector {
  readonly want: string;
  readonly parameter: string;
  readonly value: Value;
}

/** An input of a want's own: a tensor of its other batch. */
interface Factor {
  readonly want: string;
  readonly name: string;
  readonly value: Value;
}

/** The inputs that wants have of their own. */
export function ownInputs({ vectors, factors, scalars }: Emitted): Value[] {
  return [...vectors, ...factors, ...scalars].map(({ value }) => value);
}

/** All inputs of the emitted graph. */
export function inputsOf(emitted: Emitted): Value[] {
  return [...emitted.inputs, ...emitted.parameters, ...ownInputs(emitted)];
}

/**
 * Differentiates, and chooses the ways. Throws INVALID_ARGUMENT.
 * @param preferred ways to be taken where no strategy asks for others
 */
export function planFor(
  objective: Objective,
  want: Wants,
  { batchSize, strategy = {}, allowNotFinite = false }: PlanningOptions,
  preferred: Preferred = {},
): Plan {
  if (Object.keys(want).length === 0)
    throw new PergradError(
      "INVALID_ARGUMENT",
      "Nothing is wanted; say what to compute, such as { norms: want.norms() }.",
    );
  if (batchSize !== undefined && !(Number.isSafeInteger(batchSize) && batchSize >= 1)) {
    throw new PergradError("INVALID_ARGUMENT", `batchSize must be a whole number from 1 up, not ${batchSize}.`);
  }
  const total = allDemands(Object.values(want).map((each) => each.demands));
  const planOptions = { strategy, preferred, ...(batchSize === undefined ? {} : { samples: batchSize }) };
  if (!asksOfGradients(total)) return new Plan(new Map(), total, planOptions);
  const choices = { ...preferred, ...strategy };
  const { losses, parameters, axes } = objective;
  const data = { notFiniteInputs: allowNotFinite };
  const found = perSampleGradients(losses, [...parameters.values()], axes, choices, data);
  // Through comparisons and integers a parameter may reach the loss without changing it: then it has zeros.
  const gradients = [...objective.parameters].map(([name, parameter]) => {
    const zeros = () => new Dense(build.zeros([N, ...parameter.shape], parameter.dtype));
    return [name, found.get(parameter) ?? zeros()] as const;
  });
  return new Plan(new Map(gradients), total, planOptions);
}

/**
 * The graph of all that is wanted, cleaned up.
 * @param elsewhere whether it is run in a worker thread
 * @param sizes from which on results are computed apart
 */
export function emit(
  objective: Objective,
  plan: Plan,
  wants: Wants,
  others: ReadonlyMap<string, Others>,
  elsewhere = false,
  sizes: ApartSizes = usualApartSizes,
): Emitted {
  const vectors: Vector[] = [];
  const factors: Factor[] = [];
  const scalars: Scalar[] = [];
  const wantedBy = (want: string) => ({
    plan,
    losses: objective.losses,
    outputs: objective.outputs,
    vector: (parameter: string) => {
      const type = { dtype: objective.losses.dtype, shape: plan.shapeOf(parameter) };
      const value = leaf(`${want}/with/${parameter}`, type, { kind: "input" });
      vectors.push({ want, parameter, value });
      return value;
    },
    others: others.get(want)?.samples ?? 0,
    factor: (name: string, type: Pick<Value, "dtype" | "shape">) => {
      const value = leaf(`${want}/other/${name}`, type, { kind: "input" });
      factors.push({ want, name, value });
      return value;
    },
    scalar: (name: string, initial: number) => {
      const value = leaf(`${want}/at/${name}`, { dtype: objective.losses.dtype, shape: [] }, { kind: "input" });
      scalars.push({ want, name, value, initial });
      return value;
    },
  });
  const named = Object.entries(wants).flatMap(([name, each]) =>
    Object.entries(each.emit(wantedBy(name))).map(([tensor, value]) => {
      const as = each.joinedAs?.(tensor);
      const own = as?.kind === "deviations" ? { ...as, sum: `${name}/${as.sum}` } : as;
      const joining: Joining = own ?? joiningOf(value, objective, each.joining);
      return { want: name, name: `${name}/${tensor}`, value, joining };
    }),
  );
  // Where memory is short, factors are not kept to be watched: results are looked at themselves.
  const watches = asksOfGradients(plan.demands) && !plan.holdsLittle;
  const watched = watches ? watchFor(plan, wants, objective.losses) : undefined;
  if (watched?.added) {
    const { name, value } = watched.added;
    named.push({ want: "", name, value, joining: joiningOf(value, objective) });
  }
  const hidden = hiddenNotNumbers(objective);
  if (hidden) named.push({ want: "", name: hiddenNaN, value: hidden, joining: joiningOf(hidden, objective) });
  const ownResults = modelResults(
    objective,
    named.map(({ value }) => value),
  );
  const all = simplifyForRuntime([...named.map(({ value }) => value), ...ownResults]);
  const values = sumsInBlocks(all.slice(0, named.length), all.slice(named.length));
  const leaves = new Set(leavesOf(values));
  const outputs = named.map(({ name, joining, want }, k) => {
    const value = values[k] as Value;
    return { name, joining, value: wants[want]?.storage === "float16" ? storedAsFloat16(value) : value };
  });
  const expected = [...objective.expected.values()];
  // One input that carries samples stays even if nothing reads it: from it the program knows N.
  const counted = expected.find(({ value, sampleAxis }) => sampleAxis !== null && leaves.has(value));
  const counter = counted ?? expected.find(({ sampleAxis }) => sampleAxis !== null);
  const inputs = expected.map(({ value }) => value).filter((value) => leaves.has(value) || value === counter?.value);
  const parameters = objective.model.graph.parameters.filter((parameter) => leaves.has(parameter));
  const watch = watched?.watch;
  const large = !elsewhere && weightsOf(objective.model) >= sizes.weights;
  const given = handedOver(outputs, elsewhere, large);
  const { handover } = given;
  const apart = large ? computedApart(handover.outputs, sizes, handover.allocated) : undefined;
  return { inputs, parameters, vectors, factors, scalars, outputs, watch, ...given, apart };
}

/** Bytes of all parameters' values. */
export function weightsOf({ parameters }: Model): number {
  return Object.values(parameters).reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** Bytes below which a program, planned for the usual batch, is small: its outputs take as long as its operators. */
const smallProgram = 2 ** 20;

/**
 * @param elsewhere in a worker thread: then nothing that takes long is left to the thread that asks
 * @param large of a model with large weights, whose results stay single
 */
function handedOver(
  outputs: readonly Output[],
  elsewhere: boolean,
  large: boolean,
): Pick<Emitted, "handover" | "order" | "memory"> {
  const how = (mode: HandoverMode) => {
    const handover = new Handover(outputs, mode);
    const given = handover.outputs.map(({ value }) => value);
    return { handover, ...frugalOrder(given, handover.allocated) };
  };
  const apart = how(elsewhere ? "whole" : "rows");
  const small = !large && apart.memory.at(usualBatch) < smallProgram;
  return small && areSmall(outputs) ? how("together") : apart;
}

/** An input of a want's own: a number. */
export interface Scalar {
  readonly want: string;
  readonly name: string;
  readonly value: Value;
  readonly initial: number;
}
