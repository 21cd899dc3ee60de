/** What random graphs draw: a table of cases for every operator, or the reason why it is not drawn. */
import fc from "fast-check";
import type { OpDefinition } from "../../../src/ops/definition.js";
import { allDefinitions } from "../../../src/ops/registry.js";
import { arithmeticTable } from "../arithmetic-cases.js";
import { attentionCases, groupedCases, multiHeadCases, projectedCases, rotaryCases } from "../attention-cases.js";
import { contribTable } from "../contrib-cases.js";
import { elementwiseTable } from "../elementwise-cases.js";
import { lossCases } from "../loss-cases.js";
import { anywhere, distinct, filled, type OpCase, shape } from "../op-checks.js";
import type { Cases } from "../op-suite.js";
import { recurrentCases, smooth as recurrentSmooth } from "../recurrent-cases.js";
import * as regions from "../region-cases.js";
import { bitwiseTable, samplingTable } from "../sampling-cases.js";
import { signalTable } from "../signal-cases.js";
import { stateTable } from "../state-cases.js";
import { structuralTable } from "../structural-cases.js";
import { windowTable } from "../window-cases.js";

/** How tables name an operator: with its domain, where that is not ONNX's own. */
export const nameOf = ({ op, domain = "" }: { readonly op: string; readonly domain?: string }): string =>
  domain === "" ? op : `${domain}.${op}`;

export const definitions: readonly OpDefinition[] = allDefinitions;

const bit = fc.nat(1);
const microsoft = "com.microsoft";

/** Two grids a quarter of a step apart: what is compared is never nearly equal. */
const comparison = (op: string): Cases =>
  shape().chain((dims) =>
    fc
      .tuple(
        filled(dims),
        filled(
          dims,
          anywhere.map((x) => x + 0.025),
        ),
      )
      .map((inputs) => ({ op, inputs })),
  );

const arg = (op: string): Cases =>
  shape(1, 4).chain((dims) =>
    fc
      .tuple(distinct(dims), fc.integer({ min: -dims.length, max: dims.length - 1 }), bit, bit)
      .map(([x, axis, keepdims, last]) => ({
        op,
        inputs: [x],
        attributes: { axis, keepdims, select_last_index: last },
      })),
  );

const ofNumbers = (op: string): Cases =>
  shape()
    .chain((dims) => filled(dims))
    .map((x) => ({ op, inputs: [x] }));

/** Where the tables hold what only a single operator can be tried on: ties, infinities, other dtypes. */
const instead: Record<string, Cases> = {
  ...Object.fromEntries(
    ["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"].map((op) => [op, comparison(op)]),
  ),
  ArgMax: arg("ArgMax"),
  ArgMin: arg("ArgMin"),
  IsNaN: ofNumbers("IsNaN"),
  IsInf: ofNumbers("IsInf"),
};

/** Files hold no float64: the loader makes it float32. */
const inFile = (test: OpCase): boolean =>
  test.attributes?.to !== "float64" && test.inputs.every((input) => input?.dtype !== "float64");

export const graphTable: Readonly<Record<string, Cases>> = {
  ...elementwiseTable,
  ...arithmeticTable,
  ...structuralTable,
  ...windowTable,
  ...samplingTable,
  ...bitwiseTable,
  ...signalTable,
  ...stateTable,
  GridSample: regions.gridCases,
  AffineGrid: regions.affineCases,
  CenterCropPad: regions.centreCases,
  Col2Im: regions.col2ImCases,
  MaxRoiPool: regions.roiCases,
  RoiAlign: regions.roiAlignCases,
  DeformConv: regions.deformCases,
  Det: regions.detCases,
  EyeLike: regions.eyeCases,
  ReverseSequence: regions.reverseCases,
  CumProd: regions.cumProdCases,
  TensorScatter: regions.tensorScatterCases,
  Compress: regions.compressCases,
  NegativeLogLikelihoodLoss: lossCases("NegativeLogLikelihoodLoss", 1),
  SoftmaxCrossEntropyLoss: lossCases("SoftmaxCrossEntropyLoss", 2),
  Attention: fc.oneof(attentionCases(false), attentionCases(true)),
  RotaryEmbedding: rotaryCases(""),
  ...Object.fromEntries(Object.entries(contribTable).map(([op, cases]) => [`${microsoft}.${op}`, cases])),
  // One table for both names.
  ...Object.fromEntries(
    ["FusedMatMul", "TransposeMatMul"].map((op) => [
      `${microsoft}.${op}`,
      (contribTable.FusedMatMul as Cases).filter((test) => test.op === op),
    ]),
  ),
  [`${microsoft}.Attention`]: projectedCases,
  [`${microsoft}.MultiHeadAttention`]: multiHeadCases,
  [`${microsoft}.GroupQueryAttention`]: groupedCases(2),
  [`${microsoft}.RotaryEmbedding`]: rotaryCases(microsoft),
  ...Object.fromEntries(
    (["LSTM", "GRU", "RNN"] as const).map((kind) => [kind, recurrentCases(kind, { activations: recurrentSmooth })]),
  ),
  ...instead,
};

/** Why an operator is in no random graph. */
export const notDrawn: Readonly<Record<string, string>> = {
  MaxUnpool: "its indices count through the whole batch, so they cannot be drawn: it has a graph of its own",
  Shape: "its result is known at compile time",
  Size: "its result is known at compile time",
  ConstantOfShape: "it has no input but a shape",
  Scan: "it holds a graph: its own test draws it",
  Range: "it has no input that is not known at compile time",
};

/** Operators between parameters alone: why samples never go through. */
export const neverApart: Readonly<Record<string, string>> = {
  AffineGrid: "its cases state the number of images",
  EyeLike: "its rows would count the samples",
};

export function casesOf(definition: OpDefinition): Cases | undefined {
  const name = nameOf(definition);
  return name in notDrawn ? undefined : graphTable[name]?.filter(inFile);
}

/** Smooth wherever their inputs go, so that these may go far. */
export const smooth: ReadonlySet<string> = new Set(
  [
    "Add Sub Mul Neg Sum Mean MatMul Gemm Einsum Conv ConvTranspose AveragePool GlobalAveragePool Resize",
    "Sigmoid Softplus Tanh Erf Gelu Swish Mish Exp Sin Cos Sinh Cosh Asinh Atan Softmax LogSoftmax CumSum",
    "ReduceSum ReduceMean ReduceSumSquare ReduceLogSumExp ReduceProd LRN GroupNormalization InstanceNormalization",
    "LayerNormalization RMSNormalization SimplifiedLayerNormalization Dropout Identity Reshape Flatten Squeeze",
    "Unsqueeze Transpose Expand Tile Concat Split Slice Pad Trilu DepthToSpace SpaceToDepth Gather GatherElements",
    "GatherND OneHot Where DFT STFT",
  ].flatMap((line) => line.split(" ")),
);

/** Two of their indices that meet would overwrite each other in no particular order. */
export const fixedIndices: ReadonlySet<string> = new Set(["ScatterND"]);
