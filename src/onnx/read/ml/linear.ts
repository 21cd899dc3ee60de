/** Linear models: scores are x W^T + b, then transformed. */

import type { Dim } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import { intsAttribute, part, requireInput, shapeMismatch, unsupported } from "../../../ops/checks.js";
import { present } from "../../../present.js";
import { featureCount, features, type MlNode, named, type Results } from "./call.js";
import { postTransform, transformed } from "./post-transform.js";

/** The scores `[N, E]` of x `[N, C]`, coefficients `[E, C]` and, if any, intercepts `[E]`; a vector is one sample. */
function linear(node: MlNode): Value {
  const { build } = node;
  const given = features(node);
  const count = featureCount(node, given);
  const [coefficients, intercepts] = [requireInput(node, 1), node.inputs[2] ?? null];
  const [rows, wanted] = coefficients.shape;
  if (wanted !== count) throw shapeMismatch(node, `has coefficients of ${wanted} features, but an input of ${count}`);
  if (intercepts && intercepts.shape[0] !== rows)
    throw shapeMismatch(node, `has ${intercepts.shape[0]} intercepts for ${rows} rows of coefficients`);
  const x = given.shape.length === 1 ? build.reshape(given, [1, count]) : given;
  return named(node, "Gemm", intercepts ? [x, coefficients, intercepts] : [x, coefficients], { transB: 1 });
}

export function regressor(node: MlNode): Value {
  return transformed(node, linear(node));
}

/** Labels, and scores. */
export function classifier(node: MlNode): Results {
  const scores = linear(node);
  return [() => labelsOf(node, scores), () => scoresOf(node, scores)];
}

/**
 * A single row of coefficients for two classes gives the score of the second class. ONNX does not define the score of
 * the first; the runtime uses the opposite logistic, or else 1 minus the score.
 */
function scoresOf(node: MlNode, scores: Value): Value {
  const { build } = node;
  if (scores.shape[1] !== 1 || labelCount(node) !== 2) return transformed(node, scores);
  const transform = postTransform(node);
  if (transform === "PROBIT")
    throw unsupported(node, "takes the PROBIT of one score for two classes, for which runtimes give no defined result");
  if (transform === "LOGISTIC") return build.sigmoid(build.concat([build.neg(scores), scores], 1));
  return build.concat([build.sub(build.scalar(1, scores), scores), scores], 1);
}

function texts(node: MlNode): readonly unknown[] {
  const { classlabels_strings: labels } = node.attributes;
  return Array.isArray(labels) ? labels : [];
}

function labelCount(node: MlNode): number {
  return texts(node).length || (intsAttribute(node, "classlabels_ints") ?? []).length;
}

/** `[N]`: the class with the largest score; for a single score, whether it is above 0. They carry no gradient. */
function labelsOf(node: MlNode, scores: Value): Value {
  const { build } = node;
  if (texts(node).length > 0) {
    const other = node.outputNames[1];
    const advice = other ? `use its scores, "${other}"` : "give it an output of scores";
    throw unsupported(part(node, "the labels"), "are texts, which pergrad does not compute with", advice);
  }
  const labels = intsAttribute(node, "classlabels_ints") ?? [];
  const [samples, rows] = scores.shape as [Dim, number];
  if (rows === 1) {
    const [no, yes] = labels.length === 2 ? labels : [0, 1];
    const positive = build.greater(scores, build.scalar(0, scores));
    const chosen = build.where(positive, build.ints([present(yes)], []), build.ints([present(no)], []));
    return build.reshape(chosen, [samples]);
  }
  const best = build.op("ArgMax", [scores], { axis: 1, keepdims: 0 });
  if (labels.length === 0) return best;
  if (labels.length !== rows) throw shapeMismatch(node, `has ${labels.length} labels for ${rows} classes`);
  return build.gather(build.ints(labels), best, 0);
}
