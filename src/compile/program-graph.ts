/** From an objective and what is wanted of it to a plan, and from the plan to the graph of a program. */

import { perSampleGradients } from "../autodiff/per-sample.js";
import { PergradError } from "../errors.js";
import { Dense } from "../gradients/dense.js";
import { N } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { leaf, type Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { type StageName, Stages } from "../inspect/observe.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { type Prices, usualPrices } from "../ops/prices.js";
import { build } from "../ops/registry.js";
import { storedAsFloat16 } from "../optimise/float16-results.js";
import { simplifyForRuntime } from "../optimise/simplify.js";
import { allDemands, asksOfGradients } from "../plan/choice.js";
import { Plan } from "../plan/planner.js";
import type { Preferred, Strategy } from "../plan/strategy.js";
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

/** What is known of where the program will run. */
interface Conditions {
  readonly prices?: Prices;
}

/** Names in the emitted graph: those of the model's own inputs and parameters, and `<want>/<tensor>` for results. */
export interface Emitted {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly vectors: readonly Vector[];
  readonly factors: readonly Factor[];
  readonly scalars: readonly Scalar[];
  readonly outputs: readonly Output[];
  /** How it is known that gradients are finite; undefined where there are none. */
  readonly watch: Watch | undefined;
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
  { batchSize, strategy = {}, allowNotFinite = false, prices = usualPrices }: PlanningOptions & Conditions,
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
  const planOptions = { strategy, preferred, prices, ...(batchSize === undefined ? {} : { samples: batchSize }) };
  if (!asksOfGradients(total)) return new Plan(new Map(), total, planOptions);
  const choices = { ...preferred, ...strategy, prices };
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
 * @param others the other batches of wants, by their names
 * @param stages is told what the graph is on the way
 */
export function emit(
  objective: Objective,
  plan: Plan,
  wants: Wants,
  others: ReadonlyMap<string, { readonly samples: number }>,
  stages = new Stages(),
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
  const planned = named.map(({ value }) => value);
  const ownResults = modelResults(objective, planned);
  const reached = (stage: StageName, values: readonly Value[]) =>
    stages.reached(stage, () => named.map(({ name }, k) => ({ name, value: values[k] as Value })));
  reached("planned", planned);
  const all = simplifyForRuntime([...planned, ...ownResults], stages.onRewrite);
  reached("optimised", all);
  const values = sumsInBlocks(all.slice(0, named.length), all.slice(named.length), stages.onRewrite);
  reached("lowered", values);
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
  return { inputs, parameters, vectors, factors, scalars, outputs, watch };
}

/** Bytes of all parameters' values. */
export function weightsOf({ parameters }: Model): number {
  return Object.values(parameters).reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** An input of a want's own: a number. */
export interface Scalar {
  readonly want: string;
  readonly name: string;
  readonly value: Value;
  readonly initial: number;
}
