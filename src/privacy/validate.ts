/** Finds what prevents private training of a model. */
import { SampleAxes } from "../analysis/sample-axes.js";
import { PergradError, problemOf } from "../errors.js";
import type { Model } from "../graph/model.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { requireModel } from "../nn/given-model.js";
import { isBatchNorm, replaceBatchNorm } from "./batch-norm.js";

/** Something in a model that prevents private training, or that its guarantee does not cover. */
export interface PrivacyFinding {
  /**
   * "error": the model cannot be trained privately as it is. "warning": it can, but it holds something that may come
   * from the data and that the guarantee does not cover.
   */
  readonly severity: "error" | "warning";
  /** The node, by its op and name. */
  readonly node: string;
  /** What is wrong, in a sentence. */
  readonly problem: string;
  /** What to do, in a sentence. */
  readonly fix: string;
}

/**
 * What prevents a model from being trained privately, with fixes: batch normalisations first, then all other nodes at
 * which samples meet; an empty list if there is nothing. Looks at the nodes that lead to the model's outputs, or to the
 * named ones. Throws MISSING_TENSOR.
 */
export function validate(
  model: Model,
  {
    outputs,
  }: {
    /** The names of the outputs to look at. Default: all. */
    readonly outputs?: readonly string[];
  } = {},
): PrivacyFinding[] {
  requireModel(model, "validate");
  const looked = chosen(model, outputs);
  const nodes = nodesBefore(looked.graph.outputs.map(({ value }) => value));
  return [...nodes.filter(isBatchNorm).map(batchNormFinding), ...interactions(looked)];
}

function chosen(model: Model, names: readonly string[] | undefined): Model {
  if (!names) return model;
  const outputs = names.map((name) => {
    const output = model.graph.outputs.find((each) => each.name === name);
    if (!output)
      throw new PergradError("MISSING_TENSOR", `The model has no output "${name}"; give the name of one that it has.`);
    return output;
  });
  return { ...model, graph: { ...model.graph, outputs } };
}

function batchNormFinding(node: Node): PrivacyFinding {
  const name = describeNode(node);
  if ((node.attributes.training_mode ?? 0) !== 0) {
    return {
      severity: "error",
      node: name,
      problem: "it normalises over the batch (training mode), so that one sample changes the gradients of the others",
      fix: "replaceBatchNorm(model) replaces it with group normalisation; or export the model in eval mode",
    };
  }
  return {
    severity: "warning",
    node: name,
    problem: "it normalises with stored statistics, which no noise protects if they came from the private data",
    fix: "nothing, if they came from public data; else replaceBatchNorm(model) replaces it with group normalisation",
  };
}

/** The nodes at which samples meet, as far as each can be found: nodes behind one of them are not examined. */
function interactions(model: Model): PrivacyFinding[] {
  const { graph, sampleAxes } = withoutBatchNorm(model);
  const axes = SampleAxes.ofInputs(graph.inputs, sampleAxes);
  const behind = new Set<Value>();
  return nodesBefore(graph.outputs.map(({ value }) => value)).flatMap((node) => {
    const spoilt = presentInputs(node).some((input) => behind.has(input));
    const finding = spoilt ? null : interactionAt(node, axes);
    if (spoilt || finding) for (const output of node.outputs) behind.add(output);
    return finding && !isBatchNorm(node) ? [finding] : [];
  });
}

/** A batch normalisation that can be removed hides nothing behind it. */
function withoutBatchNorm(model: Model): Model {
  try {
    return replaceBatchNorm(model);
  } catch (error) {
    if (error instanceof PergradError) return model;
    throw error;
  }
}

function interactionAt(node: Node, axes: SampleAxes): PrivacyFinding | null {
  try {
    for (const output of node.outputs) axes.of(output);
    return null;
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "SAMPLES_INTERACT") throw error;
    return {
      severity: "error",
      node: describeNode(node),
      problem: problemOf(error),
      fix: "remove it from the model (a mean over the batch belongs to the loss), or say which axis holds the samples",
    };
  }
}
