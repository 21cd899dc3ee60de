/**
 * Which operators have kernels on the GPU, and for which types: those of onnxruntime-web 1.30.0, found by loading each
 * operator alone. `npm run test:browser` compares this with where the runtime puts the nodes of whole programs.
 */
import type { Node } from "../../graph/value.js";
import type { DType } from "../../tensor/tensor.js";

const floats: readonly DType[] = ["float32", "float16"];
const numbers: readonly DType[] = [...floats, "int32"];
const moved: readonly DType[] = [...numbers, "bool"];
const bytes: readonly DType[] = [...moved, "uint8"];

/** By the dtype of a node's first input (for Where, of the values that it selects from). */
const kernels = new Map<string, readonly DType[]>([
  ...of(
    floats,
    ["Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "AveragePool", "BatchNormalization", "Ceil", "Conv"],
    ["ConvTranspose", "Cos", "Cosh", "DepthToSpace", "Einsum", "Elu", "Erf", "Exp", "Floor", "GatherElements", "Gelu"],
    ["Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "InstanceNormalization", "LayerNormalization"],
    ["LeakyRelu", "Log", "MatMul", "MaxPool", "Neg", "Reciprocal", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"],
    [
      "Relu",
      "Resize",
      "Sigmoid",
      "SimplifiedLayerNormalization",
      "Sin",
      "Sinh",
      "Slice",
      "Softmax",
      "Softplus",
      "Sqrt",
    ],
    ["Tan", "Tanh", "ThresholdedRelu", "TopK"],
    ["BiasAdd", "BiasGelu", "BiasSplitGelu", "FastGelu", "FusedConv", "Gelu", "QuickGelu"].map(contributed),
    ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"].map(contributed),
  ),
  ...of(
    numbers,
    ["Add", "ArgMax", "ArgMin", "Clip", "Concat", "CumSum", "Div", "Equal", "GatherND", "Greater", "GreaterOrEqual"],
    ["Identity", "Less", "LessOrEqual", "Max", "Min", "Mul", "Pad", "Pow", "ReduceL1", "ReduceMax", "ReduceMean"],
    ["ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "ScatterElements", "ScatterND", "Shape", "Split"],
    ["Squeeze", "Sub", "Tile", "Transpose", "Trilu"],
  ),
  ...of(moved, ["Flatten", "Unsqueeze", "Where"]),
  ...of(bytes, ["Cast", "CastLike", "Expand", "Gather", "Reshape"]),
  ...of(["bool"], ["And", "Not"]),
]);

/** Operators without a kernel of their own that the runtime computes through others that have one. */
const composed = new Set(["GroupNormalization", "HardSwish", "LpNormalization", "Mish", "PRelu"]);

function contributed(op: string): string {
  return `com.microsoft.${op}`;
}

function of(dtypes: readonly DType[], ...lists: readonly (readonly string[])[]): [string, readonly DType[]][] {
  return lists.flat().map((op) => [op, dtypes]);
}

/** The types that Cast and CastLike produce. */
const given: readonly DType[] = [...bytes, "int64"];

/** Whether a node is computed on the GPU. */
export function hasKernel({ op, domain, inputs, outputs }: Node): boolean {
  const read = inputs[op === "Where" ? 1 : 0];
  if (op.startsWith("Cast") && outputs.some(({ dtype }) => !given.includes(dtype))) return false;
  const key = domain === "" ? op : `${domain}.${op}`;
  if (composed.has(key)) return true;
  return read ? (kernels.get(key)?.includes(read.dtype) ?? false) : false;
}
