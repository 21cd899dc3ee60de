/** From results as the wants built them to a program's graph: the stages "optimised" and "lowered". */

import type { Model } from "../graph/model.js";
import type { Graph, Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { Stages } from "../inspect/observe.js";
import { summedTerms } from "../lower/long-products.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { samplesInParts } from "../lower/many-samples.js";
import { storedAsFloat16 } from "../optimise/float16-results.js";
import { simplifyInFloat32 } from "../optimise/simplify.js";
import { nth } from "../present.js";
import type { Wants } from "../wants/want.js";
import type { Output } from "./joining.js";
import { modelResults, type Objective } from "./objective.js";
import type { Factor, Scalar, Vector, WantedResults } from "./results.js";
import type { Watch } from "./watch.js";

/** A program's graph. Its names are those of the model's inputs and parameters, and `<want>/<tensor>` for results. */
export interface ProgramGraph {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly vectors: readonly Vector[];
  readonly factors: readonly Factor[];
  readonly scalars: readonly Scalar[];
  readonly outputs: readonly Output[];
  /** How the program checks that gradients are finite; undefined if there are none. */
  readonly watch: Watch | undefined;
  /** The most terms that a sample adds to a sum over the samples that the runtime computes in one go. */
  readonly summedTerms: number;
}

/** The inputs that wants add. */
export function ownInputs({ vectors, factors, scalars }: ProgramGraph): Value[] {
  return [...vectors, ...factors, ...scalars].map(({ value }) => value);
}

/** All inputs of the graph. */
export function inputsOf(graph: ProgramGraph): Value[] {
  return [...graph.inputs, ...graph.parameters, ...ownInputs(graph)];
}

/** Results by name, with the values that a stage made of them. */
function named({ results }: WantedResults, values: readonly Value[]): Graph["outputs"] {
  return results.map(({ name }, k) => ({ name, value: nth(values, k) }));
}

/** The results as the wants built them, and the model's own results, cleaned up. */
export interface Optimised {
  readonly wanted: WantedResults;
  readonly computed: readonly Value[];
  readonly own: readonly Value[];
}

/** The stages "planned" and "optimised". */
export function optimised(objective: Objective, wanted: WantedResults, stages = new Stages()): Optimised {
  const planned = wanted.results.map(({ value }) => value);
  stages.reached("planned", () => named(wanted, planned));
  const all = simplifyInFloat32([...planned, ...modelResults(objective, planned)], stages.onRewrite);
  stages.reached("optimised", () => named(wanted, all));
  return { wanted, computed: all.slice(0, planned.length), own: all.slice(planned.length) };
}

/**
 * The graph of all wanted results, lowered to a form that float32 computes accurately: the stage "lowered".
 * @param manySamples whether batches are so large that sums over the samples are computed in parts
 */
export function programGraph(
  objective: Objective,
  wants: Wants,
  { wanted, computed, own }: Optimised,
  stages = new Stages(),
  manySamples = false,
): ProgramGraph {
  const blocks = sumsInBlocks(computed, own, stages.onRewrite);
  const values = manySamples ? samplesInParts(blocks, own, stages.onRewrite) : blocks;
  stages.reached("lowered", () => named(wanted, values));
  const { results, ...inputs } = wanted;
  const outputs = results.map(({ name, joining, want }, k) => {
    const value = nth(values, k);
    return { name, want, joining, value: wants[want]?.storage === "float16" ? storedAsFloat16(value) : value };
  });
  return { ...readBy(objective, values), ...inputs, outputs, summedTerms: summedTerms(values) };
}

/** The inputs and parameters that the results depend on. */
function readBy(
  { expected: all, model }: Objective,
  values: readonly Value[],
): Pick<ProgramGraph, "inputs" | "parameters"> {
  const leaves = new Set(leavesOf(values));
  const expected = [...all.values()];
  // One input that carries samples stays even if nothing reads it: the program takes N from it.
  const counted = expected.find(({ value, sampleAxis }) => sampleAxis !== null && leaves.has(value));
  const counter = counted ?? expected.find(({ sampleAxis }) => sampleAxis !== null);
  return {
    inputs: expected.map(({ value }) => value).filter((value) => leaves.has(value) || value === counter?.value),
    parameters: model.graph.parameters.filter((parameter) => leaves.has(parameter)),
  };
}

/** Bytes of all parameters' values. */
export function weightsOf({ parameters }: Pick<Model, "parameters">): number {
  return Object.values(parameters).reduce((sum, { data }) => sum + data.byteLength, 0);
}
