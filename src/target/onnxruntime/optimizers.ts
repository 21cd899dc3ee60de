/**
 * ONNX Runtime's own rewriting. It tries each of its optimizers on the whole graph, several times, which takes most of
 * the time in which a session is made. Those whose operators a program does not hold change nothing: they are left out.
 */
import { isBody } from "../../graph/body.js";
import type { Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import type { RuntimeOptions } from "../runtime.js";

const quantised = [["QuantizeLinear", "DequantizeLinear"]];
const normalised = [["ReduceMean"]];
const convolutions = [["Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvInteger"]];

/**
 * Optimizers by name, with the operators that they look for: of each list at least one. Operators that another optimizer
 * makes are stood for by those that it makes them of.
 */
const searched: Readonly<Record<string, readonly (readonly string[])[]>> = {
  EnsureUniqueDQForNodeUnit: quantised,
  DoubleQDQPairsRemover: quantised,
  QDQPropagationTransformer: quantised,
  WeightBiasQuantization: quantised,
  WhereDummyDq: quantised,
  QDQSelectorActionTransformer: quantised,
  QDQFinalCleanupTransformer: quantised,
  MatMulIntegerToFloatFusion: [["MatMulInteger"]],
  DynamicQuantizeMatMulFusion: [["MatMulInteger"]],
  MatMulNBitsFusion: [["MatMulNBits"]],
  GroupQueryAttentionFusion: [["GroupQueryAttention"]],
  GroupQueryAttentionPreNormFusion: [["GroupQueryAttention"]],
  BiasSkipLayerNormFusion: [["SkipLayerNormalization"]],
  BiasDropoutFusion: [["Dropout"]],
  BiasSoftmaxFusion: [["Softmax"]],
  AttentionFusion: [["Softmax"]],
  EmbedLayerNormFusion: [["Gather"], ["LayerNormalization", "SkipLayerNormalization", "ReduceMean"]],
  GeluFusionL1: [["Erf"]],
  GeluFusionL2: [["Erf"]],
  FastGeluFusion: [["Tanh"]],
  QuickGeluFusion: [["Sigmoid"]],
  BiasGeluFusion: [["Gelu", "FastGelu", "QuickGelu", "Erf", "Tanh"]],
  LayerNormFusionL1: normalised,
  LayerNormFusionL2: normalised,
  SimplifiedLayerNormFusion: normalised,
  GatherSliceToSplitFusion: [["Gather", "Slice"]],
  GatherToSliceFusion: [["Gather"], ["Range"]],
  SliceConcatToSpaceToDepthFusion: [["Slice"], ["Concat"]],
  TransposeOptimizer: [["Transpose"]],
  MatmulTransposeFusion: [["Transpose"]],
  MatMulAddFusion: [["MatMul"], ["Add"]],
  MatMulScaleFusion: [
    ["MatMul", "FusedMatMul", "TransposeMatMul"],
    ["Mul", "Div"],
  ],
  GemmActivationFusion: [["Gemm", "MatMul"]],
  ConvActivationFusion: convolutions,
  ConvAddActivationFusion: convolutions,
  NchwcTransformer: convolutions,
};

/** What changes nothing in any program: no dimension is overridden, and the other is for DirectML. */
const idle = ["FreeDimensionOverrideTransformer", "MatMulActivationFusion"];

/** The optimizers that a session does without, as the runtime's configuration names them. */
export function disabledOptimizers({ blockedConvolutions = true, operators }: RuntimeOptions): string {
  const unneeded = operators
    ? Object.keys(searched).filter((name) => !searched[name]?.every((ops) => ops.some((op) => operators.has(op))))
    : [];
  // SkipLayerNormalization, a residual sum fused with what follows, takes its mean with a fraction of the digits.
  const names = ["SkipLayerNormFusion", ...idle, ...unneeded, ...(blockedConvolutions ? [] : ["NchwcTransformer"])];
  return [...new Set(names)].join(";");
}

/** Operators that choose one of their elements: where two are nearly equal, the order of sums before may decide. */
const choosing = ["MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "TopK"];

/**
 * Whether convolutions may be computed in blocks of channels, as the runtime does where it holds their weights. Their sums
 * are added up in another order, and rounded otherwise: before an operator that chooses, not.
 */
export function mayBlockConvolutions(operators: ReadonlySet<string>): boolean {
  return !choosing.some((op) => operators.has(op));
}

/** The names of all operators that `outputs` are computed by, those in bodies included. */
export function operatorsOf(outputs: Iterable<Value>): Set<string> {
  const operators = new Set<string>();
  for (const { op, attributes } of nodesBefore(outputs)) {
    operators.add(op);
    for (const body of Object.values(attributes).filter(isBody))
      for (const inside of operatorsOf(body.outputs)) operators.add(inside);
  }
  return operators;
}
