/**
 * The operators that few models use, as a page has them: in modules of their own, loaded where a model has one. What
 * packs a page into one file packs them with it, and they are loaded from there. They are few: what several modules
 * share, bundlers cut into a piece for each set of modules that share it.
 */
import type { OpDefinition } from "./definition.js";

interface Group {
  /** The operators, and those of files that are read as such. */
  readonly ops: string;
  /** Its definitions, and all rare operators that these are made of. */
  readonly load: () => Promise<readonly OpDefinition[]>;
}

const groups: readonly Group[] = [
  {
    ops: "MaxPool MaxUnpool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool",
    load: async () => (await import("./rules/pooling.js")).pooling,
  },
  {
    ops:
      "LayerNormalization RMSNormalization SimplifiedLayerNormalization InstanceNormalization GroupNormalization " +
      "BatchNormalization LRN LpNormalization MeanVarianceNormalization Dropout RotaryEmbedding FusedMatMul " +
      "TransposeMatMul FusedGemm FusedConv",
    load: async () => (await import("./rare-layers.js")).definitions,
  },
  {
    ops: "LSTM GRU RNN CausalConvWithState LinearAttention Scan Loop If SequenceMap",
    load: async () => (await import("./rare-loops.js")).definitions,
  },
  {
    ops:
      "Attention MultiHeadAttention GroupQueryAttention Gelu FastGelu BiasGelu QuickGelu BiasSplitGelu BiasAdd BiasSoftmax BiasDropout " +
      "SkipLayerNormalization SkipSimplifiedLayerNormalization GroupNorm SkipGroupNorm EmbedLayerNormalization",
    load: async () => (await import("./rare-language.js")).definitions,
  },
  {
    ops:
      "DeformConv DFT STFT GridSample AffineGrid NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss Det EyeLike OneHot " +
      "RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial CenterCropPad Col2Im " +
      "MaxRoiPool RoiAlign ReverseSequence CumProd TensorScatter Compress NonZero Unique NonMaxSuppression HannWindow " +
      "HammingWindow BlackmanWindow MelWeightMatrix Resize Upsample",
    load: async () => (await import("./rare-others.js")).definitions,
  },
];

const names = new Set(groups.flatMap(({ ops }) => ops.split(" ")));

export const rare = {};

export const rareAtMicrosoft = {};

export function rareOperators(): ReadonlySet<string> {
  return names;
}

export async function rareDefinitions(wanted: ReadonlySet<string>): Promise<readonly OpDefinition[]> {
  const needed = groups.filter(({ ops }) => ops.split(" ").some((op) => wanted.has(op)));
  return (await Promise.all(needed.map(({ load }) => load()))).flat();
}
