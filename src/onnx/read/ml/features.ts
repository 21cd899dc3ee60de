/** Operators that prepare features. */
import { elementsOf } from "../../../graph/dim.js";
import { constantValue, type Value } from "../../../graph/value.js";
import {
  floatAttribute,
  intAttribute,
  intsAttribute,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../../../ops/checks.js";
import { invalidModel } from "../../proto.js";
import { featureCount, features, type MlNode, named } from "./call.js";

/** (x - offset) * scale, for x `[N, C]`: offset and scale hold one element, or one for each feature. */
export function scaled(node: MlNode): Value {
  const x = features(node);
  const [, offset = null, scale = null] = node.inputs;
  for (const statistic of [offset, scale]) requirePerFeature(node, statistic, featureCount(node, x));
  const moved = offset ? named(node, "Sub", [x, offset]) : x;
  return scale ? named(node, "Mul", [moved, scale]) : moved;
}

function requirePerFeature(node: MlNode, statistic: Value | null, count: number): void {
  const [length] = statistic?.shape ?? [1];
  if (length === 1 || length === count) return;
  throw shapeMismatch(node, `holds ${length} numbers for an input of ${count} features`);
}

const norms: ReadonlyMap<string, string> = new Map([
  ["L1", "ReduceL1"],
  ["L2", "ReduceL2"],
  // The maximum of the elements, not of their absolute values: ONNX defines it so, and the runtime computes it so.
  ["MAX", "ReduceMax"],
]);

/** Each sample divided by its norm; a sample whose norm is 0 stays as it is. */
export function normalised(node: MlNode): Value {
  const { build } = node;
  const x = features(node);
  const name = stringAttribute(node, "norm", "MAX");
  const reduction = norms.get(name);
  if (!reduction) throw unsupported(node, `has the norm "${name}", which ONNX does not define`, "give MAX, L1 or L2");
  const norm = build.reduce(reduction, x, [x.shape.length - 1], true);
  const divisor = build.where(build.equal(norm, build.scalar(0, norm)), build.scalar(1, norm), norm);
  return named(node, "Div", [x, divisor]);
}

/** Replaces missing values (NaN, or another number that stands for them). */
export function imputed(node: MlNode): Value {
  const { build } = node;
  const x = requireInput(node, 0);
  const whole = x.dtype === "int64";
  const values = whole ? wholeValues(node) : (node.inputs[1] ?? null);
  if (!values) throw invalidModel(`Imputer node "${node.name}" has no values for ${x.dtype} to put in place`);
  requirePerFeature(node, values, featureCount(node, x));
  const replaced = whole
    ? intAttribute(node, "replaced_value_int64", 0)
    : floatAttribute(node, "replaced_value_float", 0);
  const missing = Number.isNaN(replaced) ? build.op("IsNaN", [x]) : build.equal(x, build.scalar(replaced, x));
  return named(node, "Where", [missing, values, x]);
}

function wholeValues(node: MlNode): Value | null {
  const values = intsAttribute(node, "imputed_value_int64s");
  return values ? node.build.ints(values) : null;
}

/** Some of the elements along the last axis; a vector is treated as a matrix with one row. */
export function extracted(node: MlNode): Value {
  const { build } = node;
  const [x, indices] = [requireInput(node, 0), requireInput(node, 1)];
  const count = elementsOf(indices.shape);
  if (count === undefined) throw unsupported(part(node, "the indices"), "have two axes that grow with the batch");
  const rank = x.shape.length;
  if (rank === 0) throw shapeMismatch(part(node, "the input"), "is a scalar");
  const found = named(node, "Gather", [x, build.reshape(indices, [count])], { axis: rank - 1 });
  return rank === 1 ? build.unsqueeze(found, [0]) : found;
}

/** The inputs side by side, with as many features of each as the node says. */
export function vectorised(node: MlNode): Value {
  const { build, inputs } = node;
  const widths = intsAttribute(node, "inputdimensions") ?? [];
  const parts = inputs.map((_, k) => {
    const x = requireInput(node, k);
    if (x.shape.length !== 2) throw shapeMismatch(part(node, `input ${k}`), `has rank ${x.shape.length}, not 2`);
    const [width, own] = [widths[k], featureCount(node, x)];
    if (width === undefined || width > own)
      throw shapeMismatch(part(node, `input ${k}`), `has ${own} features, not ${width ?? "a stated number"}`);
    const cast = build.cast(x, "float32");
    return width === own ? cast : build.slice(cast, 1, 0, width);
  });
  if (parts.length === 0) throw invalidModel(`FeatureVectorizer node "${node.name}" has no inputs`);
  return build.concat(parts, 1);
}

/** 1 above the threshold, else 0. */
export function binarised(node: MlNode): Value {
  const { build } = node;
  const x = requireInput(node, 0);
  const threshold = constantValue({
    dtype: "float32",
    dims: [],
    data: Float32Array.of(floatAttribute(node, "threshold", 0)),
  });
  return build.cast(build.greater(build.cast(x, "float32"), threshold), x.dtype);
}

/** One new element per category: 1 if the feature is that category. All are 0 if it is none of the categories. */
export function encoded(node: MlNode): Value {
  const { build } = node;
  const x = requireInput(node, 0);
  const categories = intsAttribute(node, "cats_int64s");
  if (!categories)
    throw unsupported(
      part(node, "the categories"),
      "are texts, which pergrad does not compute with",
      "give them numbers",
    );
  const feature = build.unsqueeze(build.cast(x, "int64"), [x.shape.length]);
  return build.cast(named(node, "Equal", [feature, build.ints(categories)]), "float32");
}
