/**
 * The operators that few models use, for a page: in modules of their own, which are loaded if a model has one of them.
 * A bundler that packs a page into one file packs them too, and they are loaded from there. The modules are few,
 * because bundlers split off a piece for each set of modules that share code.
 */
import type { OpDefinition } from "./definition.js";

interface Group {
  /** The names of the operators, including those that only files have. */
  readonly ops: string;
  /** Their definitions, and all rare operators that these decompose into. */
  readonly load: () => Promise<readonly OpDefinition[]>;
}

const convolution = async () => (await import("./rules/convolution.js")).convolution;
const activations = async () => (await import("./rare-activations.js")).definitions;

const groups: readonly Group[] = [
  { ops: "Conv ConvTranspose", load: convolution },
  {
    ops: "MaxPool MaxUnpool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool",
    load: together(async () => (await import("./rules/pooling.js")).pooling, convolution),
  },
  {
    ops:
      "LayerNormalization RMSNormalization SimplifiedLayerNormalization InstanceNormalization GroupNormalization " +
      "BatchNormalization LRN LpNormalization MeanVarianceNormalization Dropout RotaryEmbedding",
    load: async () => (await import("./rare-layers.js")).definitions,
  },
  {
    ops: "FusedMatMul TransposeMatMul FusedGemm FusedConv",
    load: together(async () => (await import("./microsoft/linear.js")).contribLinear, convolution, activations),
  },
  {
    ops: "LSTM GRU RNN CausalConvWithState LinearAttention Scan Loop If SequenceMap",
    load: together(async () => (await import("./rare-loops.js")).definitions, convolution),
  },
  {
    ops:
      "Attention MultiHeadAttention GroupQueryAttention FastGelu BiasGelu QuickGelu BiasSplitGelu BiasAdd BiasSoftmax " +
      "BiasDropout SkipLayerNormalization SkipSimplifiedLayerNormalization GroupNorm SkipGroupNorm EmbedLayerNormalization",
    load: together(async () => (await import("./rare-language.js")).definitions, activations),
  },
  // Gelu is an operator of both domains.
  { ops: "Gelu", load: together(async () => (await import("./rare-language.js")).definitions, activations) },
  {
    ops:
      "Erf HardSwish Mish Swish SwiGLU PRelu Shrink OnePlusErf ExactGelu GeluSlope Sin Cos Tan Asin Acos Atan Sinh Cosh " +
      "Asinh Acosh Atanh",
    load: activations,
  },
  { ops: "Einsum", load: async () => (await import("./rules/einsum.js")).einsum },
  {
    ops:
      "DeformConv DFT STFT GridSample AffineGrid NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss Det EyeLike OneHot " +
      "RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial CenterCropPad Col2Im " +
      "MaxRoiPool RoiAlign ReverseSequence CumProd TensorScatter Compress NonZero Unique NonMaxSuppression HannWindow " +
      "HammingWindow BlackmanWindow MelWeightMatrix Resize Upsample TopK BitwiseAnd BitwiseOr BitwiseXor BitwiseNot " +
      "BitShift MatMulInteger",
    load: together(async () => (await import("./rare-others.js")).definitions, convolution),
  },
];

function together(...loads: readonly Group["load"][]): Group["load"] {
  return async () => (await Promise.all(loads.map((load) => load()))).flat();
}

const names = new Set(groups.flatMap(({ ops }) => ops.split(" ")));

export const rare = {};

export const rareAtMicrosoft = {};

export const rareInternal: readonly OpDefinition[] = [];

export function rareOperators(): ReadonlySet<string> {
  return names;
}

export async function rareDefinitions(wanted: ReadonlySet<string>): Promise<readonly OpDefinition[]> {
  const needed = groups.filter(({ ops }) => ops.split(" ").some((op) => wanted.has(op)));
  return (await Promise.all(needed.map(({ load }) => load()))).flat();
}
