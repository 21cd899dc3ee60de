/**
 * Decides which floating-point initializers are weights. A file does not say: besides weights it stores numbers that
 * configure operators, masks, and constants that an exporter took out of formulas.
 */

import { multiplies } from "../../../ops/definition.js";
import { standardDefinition } from "../../../ops/registry.js";
import type { Tensor } from "../../../tensor/tensor.js";
import { roleKey } from "../../proto.js";
import type { Use, Uses } from "../uses.js";
import { type Constancy, isRound, whyConfiguration } from "./configuration.js";

/** Names that exporters and optimizers make up for unnamed values. */
const generated =
  /^\d+$|^onnx::\w+_\d+$|(^|[/_.])(const|constant)(_fold_opt_)?([._]*\d+)?(_output_\d+)?(:\d+)?$|^auto_constant|_output_\d+$|^_?val_\d+$|^scalar_tensor|^_to_copy|^ConstantFolding\/|\/[xy](:0)?$/i;

/**
 * Names of numbers that keep a root or a quotient from zero; but also of a trained number (GIN), which is not round.
 */
const epsilons = /(^|[._/:])eps(ilon)?(:0)?$/i;

/** Names that libraries give to values that they compute and do not train. */
const buffers =
  /(^|[._/:])(inv_freq|cos_cached?|sin_cached?|cos_sin_cache|attn_mask|attention_mask|causal_mask|mask|masked_bias|anchors?|anchor_grid|strides?|eps|epsilon|running_mean|running_var|moving_mean|moving_variance)(:0)?$/i;

/** The bias of zeros that jax2onnx gives to products that have none. */
const filler = /(^|\/)dot_bias_\d+$/;

/** Names of statistics by which inputs are normalised: data is whitened, activations are not. */
const statistics = /(^|[._/])(pixel_|image_|img_)?(mean|std)s?$/i;

/** What is added to hide an element: far below any activation. */
const hidden = -1e4;

/**
 * What PyTorch's newer exporter writes for stored tensors: whether they are a parameter or a buffer, or what they were
 * computed from.
 */
const kindKey = "pkg.torch.export.graph_signature.InputSpec.kind";
const foldedKey = "pkg.onnxscript.optimizer.folded_from";

/** Names that the newer exporter gives to results of PyTorch's operators, which weights do not have. */
const results =
  /^(arange|full|zeros|ones|empty|scalar_tensor|eye|linspace|meshgrid|tri[ul]|cat|stack|r?sub|add|mul|div|neg|pow|r?sqrt|reciprocal|exp|log|sin|cos|(un)?squeeze|expand|view|reshape|flatten|permute|transpose|slice|select|index|getitem|gather|_to_copy|clone|repeat|where|masked_fill|eq|ne|lt|le|gt|ge|logical_\w+|bitwise_\w+|cumsum|outer|matmul)(_like|_as)?(_\d+)?$/;

/** Whether a tool made up the name, rather than somebody chose it. */
export function isGenerated(name: string, uses: Uses): boolean {
  return generated.test(name) || uses.noteOn(name, foldedKey) !== undefined;
}

/** Whether the exporter says that it repeated a weight, such as a token that starts every sample. */
export function isRepeated(name: string, uses: Uses): boolean {
  return /^(expand|repeat)(_\d+)?$/.test(name) && uses.noteOn(name, foldedKey) !== undefined;
}

/** The values that an exporter says it computed a value from; undefined if it does not say that it did. */
export function originsOf(name: string, uses: Uses): readonly string[] | undefined {
  const origins = uses.noteOn(name, foldedKey)?.matchAll(/'([^']*)'/g);
  return origins && [...origins].map(([, origin = ""]) => origin);
}

/** The origins of a value that are weights: as the exporter lists them, or else by their names. */
export function weightsAmong(origins: readonly string[], signature: ReadonlySet<string> | null): string[] {
  return origins.filter((origin) => (signature ? signature.has(origin) : !isPlainOrigin(origin)));
}

/** Whether the name is that of a buffer, and the numbers do not look trained under this name. */
function isBuffer(name: string, { data }: Tensor<"float32">): boolean {
  return buffers.test(name) && !(epsilons.test(name) && data.some((element) => !isRound(element, 3)));
}

/** Whether the name of what a value was computed from is that of a result, a number or a buffer. */
function isPlainOrigin(name: string): boolean {
  return results.test(name) || generated.test(name) || buffers.test(name);
}

/** What a file says about an initializer: its exporter, or pergrad if it wrote the file. */
function saidOf(name: string, uses: Uses): "parameter" | "buffer" | undefined {
  const own = uses.noteOn(name, roleKey);
  if (own === "parameter" || own === "buffer") return own;
  const kind = uses.noteOn(name, kindKey);
  return kind === undefined ? undefined : kind === "PARAMETER" ? "parameter" : "buffer";
}

/** Why an initializer counts as a constant; null for a weight. */
export function whyConstant(
  name: string,
  tensor: Tensor<"float32">,
  uses: Uses,
  inputs: ReadonlySet<string>,
  signature: ReadonlySet<string> | null,
): Constancy | null {
  const said = saidOf(name, uses);
  const chosen = !isGenerated(name, uses) && !isBuffer(name, tensor);
  const setting = whyConfiguration(name, tensor, uses, { said, chosen });
  if (setting) return setting;
  const origins = originsOf(name, uses);
  const computed = !said && origins && weightsAmong(origins, signature).length === 0;
  const why = computed ? "computed from no weight" : whyNoWeight(name, tensor, uses, inputs, said);
  return why === null ? null : { why, doubtful: true };
}

function whyNoWeight(
  name: string,
  tensor: Tensor<"float32">,
  uses: Uses,
  inputs: ReadonlySet<string>,
  said: "parameter" | "buffer" | undefined,
): string | null {
  if (said) return said === "parameter" ? null : "a buffer, as its exporter says";
  if (isBuffer(name, tensor)) return "by its name a buffer";
  const distinct = distinctUpToTwo(tensor);
  if (filler.test(name) && distinct?.length === 1 && distinct[0] === 0) return "zeros in the place of a bias";
  const mask = distinct?.length === 2 && distinct.includes(0);
  if (mask && distinct.some((element) => element <= hidden)) return "a mask";
  const readers = uses.readersOf(name);
  if (statistics.test(name) && readers.every((use) => isBesideInput(use, uses, inputs))) return "it prepares an input";
  if (readers.length > 0 && readers.every((use) => isFormula(use, tensor)))
    return "a number too small or too large to be trained";
  if (readers.length === 0 && distinct?.length === 1 && distinct[0] === 0) return "zeros that a branch gives";
  if (isCastOnly(readers, tensor)) return "a round number that a formula casts";
  if (!isGenerated(name, uses)) return null;
  if (readers.every(({ node }) => node.opType === "Cos" || node.opType === "Sin")) return "a table of angles";
  // A group norm is exported as an instance norm that scales by 1, followed by a scaling of its own.
  const neutral = distinct?.length === 1 && readers.every(({ node }) => node.opType === "InstanceNormalization");
  if (neutral) return "the same number everywhere";
  // Floating-point operands of a layer are weights, even with one element.
  if (readers.some(({ node }) => standardDefinition(node.opType)?.layer)) return null;
  if (tensor.data.length > 1 && !readers.every(({ node }) => combines(node))) return null;
  if (readers.some((use) => isBias(use, tensor, uses))) return null;
  if (tensor.data.length === 1) return "a single number with a generated name";
  if (mask) return "a mask";
  if (distinct?.length === 1) return "the same number everywhere";
  const prepares = ({ node, index }: Use) => node.input.some((other, k) => k !== index && inputs.has(other));
  return readers.every(prepares) ? "it prepares an input" : null;
}

/**
 * A round number that is only cast to the type of another value, as exporters write the numbers of PyTorch's functions.
 */
function isCastOnly(readers: readonly Use[], { data }: Tensor<"float32">): boolean {
  const [number = 0] = data;
  const cast = readers.length > 0 && readers.every(({ node }) => node.opType === "CastLike");
  return cast && data.length === 1 && isRound(number, 3);
}

/** A round number of extreme size, such as those that keep a root or a logarithm from zero, or hide an element. */
function isFormula({ node }: Use, { data }: Tensor<"float32">): boolean {
  const [number = 0] = data;
  const size = Math.abs(number);
  if (data.length !== 1 || !isRound(number, 2)) return false;
  const small = size > 0 && size <= 1e-5 && ["Add", "Max"].includes(node.opType);
  return small || (size >= -hidden && ["Add", "Max", "Min", "Mul", "Sub", "Where"].includes(node.opType));
}

/** The distinct elements if there are at most two. They distinguish masks from real weights. */
function distinctUpToTwo({ data }: Tensor<"float32">): number[] | null {
  const found: number[] = [];
  for (const element of data) {
    if (found.includes(element)) continue;
    found.push(element);
    if (found.length > 2) return null;
  }
  return found;
}

/** Whether it works element by element on several operands. */
function combines({ opType, input }: Use["node"]): boolean {
  return input.length > 1 && standardDefinition(opType)?.elementwise === true;
}

/** Whether the other operand is an input, or computed from one by element-wise operators only. */
function isBesideInput({ node, index }: Use, uses: Uses, inputs: ReadonlySet<string>, depth = 0): boolean {
  if (!combines(node) && node.opType !== "Cast") return false;
  return node.input.some((name, k) => {
    if (k === index) return false;
    const producer = uses.producerOf(name);
    const further = producer && depth < 8 && isBesideInput({ node: producer, index: -1 }, uses, inputs, depth + 1);
    return inputs.has(name) || further === true;
  });
}

/** A vector added to the result of a layer, at that result's width. */
function isBias({ node, index }: Use, { dims }: Tensor, uses: Uses): boolean {
  if (node.opType !== "Add" || dims.length !== 1) return false;
  const other = uses.producerOf(node.input[1 - index] ?? "");
  const layer = other && standardDefinition(other.opType)?.layer;
  return layer !== undefined && multiplies(layer);
}
