/**
 * Which floating-point initializers are weights. A file does not say: beside weights it stores numbers that
 * set up operators, masks, and constants that an exporter took out of formulas.
 */
import type { Tensor } from "../tensor.js";
import type { Use, Uses } from "./uses.js";

/** Inputs that set up an operator, or that it tracks and does not train. */
const configuration: ReadonlyMap<string, readonly number[]> = new Map([
  // Masks.
  ["Attention", [3]],
  ["BatchNormalization", [3, 4]],
  ["Clip", [1, 2]],
  ["Dropout", [1]],
  ["ImageScaler", [1]],
  ["NegativeLogLikelihoodLoss", [2]],
  ["OneHot", [2]],
  ["Pad", [2]],
  ["Range", [0, 1, 2]],
  ["Resize", [1, 2]],
  // Tables of angles: before the positions in ONNX, behind them in ONNX Runtime's own domain.
  ["RotaryEmbedding", [1, 2, 3]],
  ["SoftmaxCrossEntropyLoss", [2]],
  ["Upsample", [1]],
]);

/** Names that exporters and optimisers make up for what had none. */
const generated =
  /^\d+$|^onnx::\w+_\d+$|(^|[/_.])(const|constant)(_fold_opt_)?([._]*\d+)?(_output_\d+)?(:\d+)?$|^auto_constant|_output_\d+$|^_?val_\d+$|^scalar_tensor|^_to_copy/i;

/** Names that libraries give to what they compute and do not train. */
const buffers =
  /(^|[._/:])(inv_freq|cos_cached?|sin_cached?|cos_sin_cache|attn_mask|attention_mask|causal_mask|mask|masked_bias|anchors?|anchor_grid|strides?|eps|epsilon|running_mean|running_var|moving_mean|moving_variance)(:0)?$/i;

const elementwise = new Set(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Where", "Equal", "Less", "Greater"]);

/** Operators whose floating-point operands are weights, of one element too. */
const layers = new Set(
  "Conv ConvTranspose Einsum GRU Gather Gemm GroupNormalization InstanceNormalization LSTM LayerNormalization MatMul PRelu RNN BatchNormalization".split(
    " ",
  ),
);

/** What is added to hide an element: far below any activation. */
const hidden = -1e4;

/** Whether somebody chose the name, or a tool made it up. */
export function isGenerated(name: string): boolean {
  return generated.test(name);
}

/** Whether every use of the name sets up an operator. */
export function isConfiguration(name: string, tensor: Tensor, uses: Uses): boolean {
  const readers = uses.readersOf(name);
  // A single exponent is part of a formula: nobody trains the 2 of a square.
  const sets = ({ node, index }: Use) =>
    configuration.get(node.opType)?.includes(index) ||
    (node.opType === "Pow" && index === 1 && tensor.data.length === 1);
  return readers.length > 0 && readers.every(sets);
}

/** Why an initializer is taken for a constant; null for a weight. */
export function whyConstant(name: string, tensor: Tensor, uses: Uses, inputs: ReadonlySet<string>): string | null {
  if (buffers.test(name)) return "by its name a buffer";
  const distinct = distinctUpToTwo(tensor);
  const mask = distinct?.length === 2 && distinct.includes(0);
  if (mask && distinct.some((element) => element <= hidden)) return "a mask";
  if (!generated.test(name)) return null;
  const readers = uses.readersOf(name);
  // A group norm is written as an instance norm that scales by 1, and a scaling of its own.
  const neutral = distinct?.length === 1 && readers.every(({ node }) => node.opType === "InstanceNormalization");
  if (neutral) return "the same number everywhere";
  if (readers.some(({ node }) => layers.has(node.opType))) return null;
  if (tensor.data.length > 1 && !readers.every(({ node }) => elementwise.has(node.opType))) return null;
  if (readers.some((use) => isBias(use, tensor, uses))) return null;
  if (tensor.data.length === 1) return "a single number with a generated name";
  if (mask) return "a mask";
  if (distinct?.length === 1) return "the same number everywhere";
  const prepares = ({ node, index }: Use) => node.input.some((other, k) => k !== index && inputs.has(other));
  return readers.every(prepares) ? "it prepares an input" : null;
}

/** The elements that occur, where they are at most two. Real weights are told from masks within a few elements. */
function distinctUpToTwo({ data }: Tensor): number[] | null {
  const found: number[] = [];
  for (const element of data as Float32Array) {
    if (found.includes(element)) continue;
    found.push(element);
    if (found.length > 2) return null;
  }
  return found;
}

/** A vector added to the result of a layer, at that result's width. */
function isBias({ node, index }: Use, { dims }: Tensor, uses: Uses): boolean {
  if (node.opType !== "Add" || dims.length !== 1) return false;
  const other = uses.producerOf(node.input[1 - index] ?? "");
  return other !== undefined && ["MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"].includes(other.opType);
}
