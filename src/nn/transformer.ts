/** Blocks of attention and position-wise layers. */
import type { Traced } from "../trace/traced.js";
import { gelu, relu } from "./activations.js";
import { multiHeadAttention } from "./attention.js";
import { dropout } from "./dropout.js";
import { linear } from "./layers.js";
import { type Bound, type Module, module } from "./module.js";
import { layerNorm } from "./norms.js";
import { count } from "./window.js";

/** Options of `transformerEncoderLayer`. */
export interface EncoderLayerOptions {
  /** Width of the hidden layer behind the attention; default 2048. */
  readonly feedForward?: number;
  /** Default "relu". */
  readonly activation?: "relu" | "gelu" | Module;
  /** Whether each half normalises its input (as GPT-2 does) rather than its sum; default false. */
  readonly normFirst?: boolean;
  /** Position t sees positions 0..t only; default false. */
  readonly causal?: boolean;
  /** The probability of dropping attention weights, hidden features, and each half's result; default 0. */
  readonly dropout?: number;
  /** Whether attention and linear layers have biases; default true. */
  readonly bias?: boolean;
  /** Added to the variance of the norms; default 1e-5. */
  readonly epsilon?: number;
}

function activationOf(activation: "relu" | "gelu" | Module): Module {
  if (typeof activation === "object") return activation;
  return activation === "gelu" ? gelu() : relu();
}

/**
 * Attention, then two linear layers at each position, each half added to its input: [N, T, width] to the
 * same. The optional input `mask`, bool [N, T], is true where a position is no padding; with dropout there
 * is an input `seed`, int64 [N]. Parameters are named, shaped and initialised as those of PyTorch's
 * `TransformerEncoderLayer`, whose dropout is 0.default 1; here it is 0.
 */
export function transformerEncoderLayer(width: number, heads: number, options: EncoderLayerOptions = {}): Module {
  const { feedForward = 2048, activation = "relu", normFirst = false, causal = false } = options;
  const { dropout: p = 0, bias = true, epsilon = 1e-5 } = options;
  count("transformerEncoderLayer", "feedForward", feedForward);
  const parts = {
    self_attn: multiHeadAttention(width, heads, { causal, bias, dropout: p }),
    linear1: linear(width, feedForward, { bias }),
    linear2: linear(feedForward, width, { bias }),
    norm1: layerNorm(width, { epsilon }),
    norm2: layerNorm(width, { epsilon }),
    activation: activationOf(activation),
    drop: dropout(p),
  };
  const forward = (x: Traced, part: Bound<typeof parts>) => {
    const attend = (y: Traced) => part.drop(part.self_attn(y));
    const think = (y: Traced) => part.drop(part.linear2(part.drop(part.activation(part.linear1(y)))));
    if (normFirst) {
      const y = x.add(attend(part.norm1(x)));
      return y.add(think(part.norm2(y)));
    }
    const y = part.norm1(x.add(attend(x)));
    return part.norm2(y.add(think(y)));
  };
  return module(forward, parts, "transformerEncoderLayer");
}
