/**
 * Selects ONNX Runtime's own graph optimizers. The runtime tries each of them on the whole graph, several times, and
 * this takes most of the time for creating a session. Optimizers whose operators a program does not contain change
 * nothing, so they are left out.
 */
import { isBody } from "../../graph/body.js";
import { nodeOf, type Value } from "../../graph/value.js";
import { nodesBefore, readersOf } from "../../graph/walk.js";
import type { RuntimeOptions } from "../runtime.js";

const quantised = [["QuantizeLinear", "DequantizeLinear"]];
/** A root mean square that only a quotient reads, as in the backward pass. */
const normalised = [["ReduceMean"], ["Add>Sqrt"], ["Sqrt>Div"]];
const convolutions = [["Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvInteger"]];
const activations = ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "Softplus", "Softsign", "Elu", "HardSigmoid", "Clip"];

/**
 * For each optimizer, the operators or chains it looks for: at least one from each list. `Add>Sqrt` is a chain, a Sqrt
 * that is the only reader of an Add; most optimizers merge such nodes. An operator that another optimizer makes is
 * represented by what that one makes it from.
 */
const searched: Readonly<Record<string, readonly (readonly string[])[]>> = {
  EnsureUniqueDQForNodeUnit: quantised,
  DoubleQDQPairsRemover: quantised,
  QDQPropagationTransformer: quantised,
  WeightBiasQuantization: quantised,
  WhereDummyDq: quantised,
  QDQS8ToU8Transformer: quantised,
  QDQSelectorActionTransformer: quantised,
  QDQFinalCleanupTransformer: quantised,
  // For convolutions, only those of integers and of float16.
  NhwcTransformer: [["QLinearConv", "ConvInteger", "QuantizeLinear", "DequantizeLinear"]],
  MatMulIntegerToFloatFusion: [["MatMulInteger"]],
  DynamicQuantizeMatMulFusion: [["MatMulInteger"]],
  MatMulNBitsFusion: [["MatMulNBits"]],
  GroupQueryAttentionFusion: [["GroupQueryAttention"]],
  GroupQueryAttentionPreNormFusion: [["GroupQueryAttention"]],
  BiasSkipLayerNormFusion: [["SkipLayerNormalization"]],
  BiasDropoutFusion: [["Dropout"]],
  BiasSoftmaxFusion: [["Add>Softmax"]],
  AttentionFusion: [["Softmax>MatMul", "Softmax>Cast", "Softmax>Dropout", "Softmax>Transpose"]],
  EmbedLayerNormFusion: [["Gather>Add"], ["LayerNormalization", "SkipLayerNormalization", "ReduceMean"]],
  GeluFusionL1: [["Erf>Add"]],
  GeluFusionL2: [["Erf>Add"]],
  FastGeluFusion: [["Tanh>Add"]],
  QuickGeluFusion: [["Sigmoid>Mul"]],
  BiasGeluFusion: [["Add>Gelu", "Add>FastGelu", "Add>QuickGelu", "Erf>Add", "Tanh>Add", "Sigmoid>Mul"]],
  LayerNormFusionL1: normalised,
  LayerNormFusionL2: normalised,
  SimplifiedLayerNormFusion: normalised,
  ReshapeFusion: [["Concat>Reshape", "Reshape>Reshape"]],
  GatherSliceToSplitFusion: [["Gather", "Slice"]],
  GatherToSliceFusion: [["Gather"], ["Range"]],
  SliceConcatToSpaceToDepthFusion: [["Slice>Concat"]],
  TransposeOptimizer: [["Transpose"]],
  // The same again, with what only the processor's kernels can do.
  TransposeOptimizer_CPUExecutionProvider: [["Transpose"], ["Resize", "MaxPool"]],
  MatmulTransposeFusion: [["Transpose"]],
  MatMulAddFusion: [["MatMul>Add"]],
  MatMulScaleFusion: [["Mul>MatMul", "Div>MatMul", "MatMul>Mul", "MatMul>Div"]],
  GemmActivationFusion: [["Gemm", "MatMul"], activations.flatMap((op) => [`Gemm>${op}`, `Add>${op}`])],
  ConvActivationFusion: convolutions,
  ConvAddActivationFusion: [...convolutions, ["Conv>Add", "FusedConv>Add", "NhwcFusedConv>Add"]],
  NchwcTransformer: convolutions,
};

/**
 * Optimizers that change nothing in any program: no dimension is overridden, one is for DirectML, and the encoder
 * stores equal constants once.
 */
const idle = ["FreeDimensionOverrideTransformer", "MatMulActivationFusion", "ConstantSharing"];

/** The optimizers that a session leaves out, in the form of the runtime's configuration. */
export function disabledOptimizers(options: RuntimeOptions): string {
  const { blockedConvolutions = true, operators, chains, distinct = false } = options;
  const isHeld = (sought: string) => (isChain(sought) ? (chains?.has(sought) ?? true) : operators?.has(sought));
  const unneeded = operators
    ? Object.keys(searched).filter((name) => !searched[name]?.every((alternatives) => alternatives.some(isHeld)))
    : [];
  // SkipLayerNormalization, a residual sum fused with the next operator, computes its mean with only a part of the
  // digits.
  const names = ["SkipLayerNormFusion", ...idle, ...unneeded];
  if (distinct) names.push("CommonSubexpressionElimination");
  if (!blockedConvolutions) names.push("NchwcTransformer");
  return [...new Set(names)].join(";");
}

/** Operators that select one of their elements: if two are nearly equal, the order of earlier sums may decide. */
const choosing = ["MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "TopK"];

/**
 * Whether convolutions may be computed in blocks of channels, as the runtime does if it holds their weights. That adds
 * in another order and rounds differently, so it is not allowed before an operator that selects.
 */
export function mayBlockConvolutions(operators: ReadonlySet<string>): boolean {
  return !choosing.some((op) => operators.has(op));
}

/** What a session must know about its graph. */
export interface Contents {
  readonly operators: ReadonlySet<string>;
  readonly chains: ReadonlySet<string>;
}

/** The operators and chains that compute `outputs`, including those in bodies. */
export function contentsOf(outputs: readonly Value[]): Contents {
  const operators = new Set<string>();
  const chains = new Set<string>();
  /** For each operator, those that alone read a result of it. */
  const after = new Map<string, Set<string>>();
  const nodes = nodesBefore(outputs);
  const readers = readersOf(nodes, outputs);
  for (const node of nodes) {
    operators.add(node.op);
    for (const input of node.inputs) {
      const before = input ? nodeOf(input) : undefined;
      if (!input || !before || readers.get(input) !== 1) continue;
      const known = after.get(before.op);
      if (known) known.add(node.op);
      else after.set(before.op, new Set([node.op]));
    }
    for (const body of Object.values(node.attributes).filter(isBody)) {
      const inside = contentsOf(body.outputs);
      for (const op of inside.operators) operators.add(op);
      for (const chain of inside.chains) chains.add(chain);
    }
  }
  for (const [op, readers] of after) for (const reader of readers) chains.add(`${op}>${reader}`);
  return { operators, chains };
}

const isChain = (sought: string): boolean => sought.includes(">");
