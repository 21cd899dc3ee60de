/** The operators of classic machine learning. Each becomes nodes of the default domain, so none is left in a graph. */

import type { NodeProto } from "onnx-buf";
import { requireInput } from "../../../ops/checks.js";
import { entryOf } from "../../../present.js";
import { decodeAttributes } from "../../attributes.js";
import type { Decoder } from "../decoder.js";
import { bindOutputs, readNode } from "../file-node.js";
import type { Scope } from "../scope.js";
import type { mlOperators } from "../special-operators.js";
import type { MlNode, Results } from "./call.js";
import { binarised, encoded, extracted, imputed, normalised, scaled, vectorised } from "./features.js";
import { classifier, regressor } from "./linear.js";

type Rule = (node: MlNode) => Results;

const rules: Readonly<Record<(typeof mlOperators)[number], Rule>> = {
  ArrayFeatureExtractor: (node) => [() => extracted(node)],
  Binarizer: (node) => [() => binarised(node)],
  FeatureVectorizer: (node) => [() => vectorised(node)],
  Imputer: (node) => [() => imputed(node)],
  LinearClassifier: classifier,
  LinearRegressor: (node) => [() => regressor(node)],
  Normalizer: (node) => [() => normalised(node)],
  OneHotEncoder: (node) => [() => encoded(node)],
  Scaler: (node) => [() => scaled(node)],
  // A map from class to score, for each sample: the tensor of scores says the same.
  ZipMap: (node) => [() => requireInput(node, 0)],
};

export function decodeMlNode(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const node = readNode(proto, scope, decodeAttributes(proto, decoder.context.precision));
  const { build } = decoder.context;
  const results = entryOf(rules, proto.opType)({ ...node, build });
  bindOutputs(proto, results, scope);
}
