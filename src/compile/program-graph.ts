/** From results as wants built them to the graph of a program: the stages "optimised" and "lowered". */

import type { Model } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { type StageName, Stages } from "../inspect/observe.js";
import { summedTerms } from "../lower/long-products.js";
import { sumsInBlocks } from "../lower/long-sums.js";
import { samplesInParts } from "../lower/many-samples.js";
import { storedAsFloat16 } from "../optimise/float16-results.js";
import { simplifyInFloat32 } from "../optimise/simplify.js";
import { nth } from "../present.js";
import type { Wants } from "../wants/want.js";
import type { Output } from "./joining.js";
import { modelResults, type Objective } from "./objective.js";
import type { Factor, Scalar, Vector, WantedResult, WantedResults } from "./results.js";
import type { Watch } from "./watch.js";

/** The graph of a program. Names in it: those of the model's own inputs and parameters, and `<want>/<tensor>` for results. */
export interface ProgramGraph {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly vectors: readonly Vector[];
  readonly factors: readonly Factor[];
  readonly scalars: readonly Scalar[];
  readonly outputs: readonly Output[];
  /** How it is known that gradients are finite; undefined where there are none. */
  readonly watch: Watch | undefined;
  /** Terms that a sample adds to a sum over the samples that the runtime computes in one go: the most of any. */
  readonly summedTerms: number;
}

/** The inputs that wants have of their own. */
export function ownInputs({ vectors, factors, scalars }: ProgramGraph): Value[] {
  return [...vectors, ...factors, ...scalars].map(({ value }) => value);
}

/** All inputs of the graph. */
export function inputsOf(graph: ProgramGraph): Value[] {
  return [...graph.inputs, ...graph.parameters, ...ownInputs(graph)];
}

/**
 * The graph of all that is wanted: cleaned up, and lowered to what float32 can hold.
 * @param wanted its results as wants built them
 * @param manySamples it is for batches of so many samples that sums over them are computed in parts
 */
export function programGraph(
  objective: Objective,
  wants: Wants,
  wanted: WantedResults,
  stages = new Stages(),
  manySamples = false,
): ProgramGraph {
  const { results, ...own } = wanted;
  const values = lowered(objective, results, stages, manySamples);
  const outputs = results.map(({ name, joining, want }, k) => {
    const value = nth(values, k);
    return { name, joining, value: wants[want]?.storage === "float16" ? storedAsFloat16(value) : value };
  });
  return { ...readBy(objective, values), ...own, outputs, summedTerms: summedTerms(values) };
}

function lowered(
  objective: Objective,
  results: readonly WantedResult[],
  stages: Stages,
  manySamples: boolean,
): Value[] {
  const reached = (stage: StageName, values: readonly Value[]) =>
    stages.reached(stage, () => results.map(({ name }, k) => ({ name, value: nth(values, k) })));
  const planned = results.map(({ value }) => value);
  reached("planned", planned);
  const optimised = simplifyInFloat32([...planned, ...modelResults(objective, planned)], stages.onRewrite);
  reached("optimised", optimised);
  const [computed, own] = [optimised.slice(0, planned.length), optimised.slice(planned.length)];
  const blocks = sumsInBlocks(computed, own, stages.onRewrite);
  const values = manySamples ? samplesInParts(blocks, own, stages.onRewrite) : blocks;
  reached("lowered", values);
  return values;
}

/** The inputs and parameters that the results depend on. */
function readBy(
  { expected: all, model }: Objective,
  values: readonly Value[],
): Pick<ProgramGraph, "inputs" | "parameters"> {
  const leaves = new Set(leavesOf(values));
  const expected = [...all.values()];
  // One input that carries samples stays even if nothing reads it: from it the program knows N.
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
