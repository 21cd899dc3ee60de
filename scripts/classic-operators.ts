/** What docs/ops.md says about the domain ai.onnx.ml; test/onnx/classic.test.ts compares it with ONNX Runtime. */
import { mlOperators } from "../src/onnx/read/special-operators.js";

const lines: readonly string[] = [
  "LinearRegressor, LinearClassifier: scores are `Gemm(x, NODE.coefficients, NODE.intercepts)`; both are parameters, `[E, C]` (a row for each target or class) and `[E]`. The five values of `post_transform` are computed as ONNX Runtime computes them: a single score is left as it is but for PROBIT, and one row for two classes gives `[1 - s, s]`, with LOGISTIC `[sigmoid(-s), sigmoid(s)]`; PROBIT of one row for two classes, of which the runtime makes nothing defined, is refused. `multi_class` changes nothing in the runtime, nor here.",
  "LinearClassifier's labels carry no gradient: outputs that hold labels come after the others. Labels that are texts are left out (or refused, where they are asked for).",
  "Scaler: `(x - NODE.offset) * NODE.scale`; Imputer: `NODE.imputed_value_floats` where a value is missing. These are statistics of the data and so constants, which `explain` lists; `parameters` (`--parameters`) makes them parameters.",
  "Normalizer: L1, L2, and MAX by the largest element (not by the largest size); a sample of zeros stays as it is.",
  "ZipMap: a sequence of maps becomes the tensor of its scores, with a note. ArrayFeatureExtractor: a Gather along the last axis. FeatureVectorizer: a Concat. Binarizer, OneHotEncoder: have no gradient; of a category that OneHotEncoder does not list, all elements are 0, also with `zeros=0`, where ONNX Runtime fails.",
];

export const classicOperators: readonly string[] = [
  `Classic machine learning, as scikit-learn's exporter (skl2onnx) writes it: ${mlOperators.join(", ")}. They become operators of the default domain while a file is read, and what \`saveModel\` and \`train\` write is made of those: the weights are initializers there, and no longer attributes.`,
  "",
  ...lines.map((line) => `- ${line}`),
  "",
  "Not read: trees, support vector machines, and what works on texts.",
];
