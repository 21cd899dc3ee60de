/**
 * The names of the operators that are gone once a file has been read. The code that reads them is loaded when a file
 * has one.
 */

import { standardDefinition } from "../../ops/registry.js";
import { mlDomain } from "./ml/domain.js";

/** Operators on sequences of tensors. */
export const sequenceOperators = [
  "ConcatFromSequence",
  "Optional",
  "OptionalGetElement",
  "OptionalHasElement",
  "SequenceAt",
  "SequenceConstruct",
  "SequenceEmpty",
  "SequenceErase",
  "SequenceInsert",
  "SequenceLength",
  "SequenceMap",
  "SplitToSequence",
] as const;

/** Operators of the domain for classic machine learning. */
export const mlOperators = [
  "ArrayFeatureExtractor",
  "Binarizer",
  "FeatureVectorizer",
  "Imputer",
  "LinearClassifier",
  "LinearRegressor",
  "Normalizer",
  "OneHotEncoder",
  "Scaler",
  "ZipMap",
] as const;

/** Operators that have graphs of their own. */
const controlFlow = ["If", "Loop"] as const;

/** Looks for the places of a mask. */
const searching = ["NonZero"] as const;

const names: ReadonlySet<string> = new Set([...sequenceOperators, ...mlOperators, ...controlFlow, ...searching]);
const ofMl: ReadonlySet<string> = new Set(mlOperators);

export function isMlOperator(domain: string, op: string): boolean {
  return domain === mlDomain && ofMl.has(op);
}

export function isSpecial(op: string): boolean {
  return names.has(op) || standardDefinition(op)?.body !== undefined;
}
