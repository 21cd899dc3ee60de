/** Self-attention. */
import { PergradError } from "../errors.js";
import { fixedSize, isBatch, showShape } from "../graph/dim.js";
import { constant, where } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { requireSameDType, type Traced } from "../trace/traced.js";
import { dropout } from "./dropout.js";
import { xavierUniform, zeros } from "./initial-values.js";
import { linear, requireSize } from "./layers.js";
import { type Bound, type Module, module, type SideInput } from "./module.js";
import { count } from "./window.js";

/** Options of `multiHeadAttention`. */
export interface AttentionOptions {
  /** Position t sees positions 0..t only; default false. */
  readonly causal?: boolean;
  /** Whether the projections have biases; default true. */
  readonly bias?: boolean;
  /** The probability that an attention weight is dropped; default 0, and then no `seed` is needed. */
  readonly dropout?: number;
}

/** Which positions of each sample exist; the others are padding. */
const padding: SideInput = { dtype: "bool" };

/** The value of a masked score. It is finite, so that a fully masked row has equal weights instead of NaN. */
const lowest = -3.4028234663852886e38;

/** [T, T]: whether position t (the row) may see position s (the column). */
function lowerTriangle(length: number): Traced {
  const positions = constant({
    dtype: "int64",
    dims: [length, 1],
    data: BigInt64Array.from({ length }, (_, t) => BigInt(t)),
  });
  return positions.greaterOrEqual(positions.transpose());
}

/** [N, 1, 1, T]: which positions may be seen. */
function visible(mask: Traced, x: Traced): Traced {
  const { shape } = mask.value;
  const [, length] = x.value.shape;
  if (shape.length !== 2 || !isBatch(shape[0]) || shape[0].perSample !== 1 || shape[1] !== length) {
    throw new PergradError("SHAPE_MISMATCH", `its mask is [N, ${length}], not ${showShape(shape)}.`);
  }
  return mask.unsqueeze([1, 2]);
}

/** [N, T, width] as [N, heads, T, width / heads]. */
function perHead(x: Traced, heads: number): Traced {
  const [samples, length, width] = x.shape;
  return x.reshape([samples ?? "N", length ?? 0, heads, Number(width) / heads]).transpose([0, 2, 1, 3]);
}

function requireSequence(x: Traced, width: number): void {
  const { shape } = x.value;
  if (x.rank !== 3 || isBatch(shape[1])) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `it takes [N, positions, ${width}], but its input is ${showShape(shape)}.`,
    );
  }
  requireSize(x, 2, width, "features");
}

/** The positions that may be attended to, to be broadcast to [N, heads, T, T]; undefined for all. */
function mayBeSeen(x: Traced, causal: boolean, mask: Traced | undefined): Traced | undefined {
  const before = causal ? lowerTriangle(fixedSize(x.value.shape, 1)) : undefined;
  const there = mask && visible(mask, x);
  return before && there ? there.and(before) : (before ?? there);
}

/** softmax(q k' / sqrt(d)) over the positions that may be seen. */
function attentionWeights(q: Traced, k: Traced, keep: Traced | undefined): Traced {
  const scores = q.mul(1 / Math.sqrt(Number(q.shape[3]))).matmul(k.transpose([0, 1, 3, 2]));
  return (keep ? where(keep, scores, constant(lowest).cast(scores.dtype)) : scores).softmax(-1);
}

/**
 * Attention of each position of [N, T, width] to the positions of the same sample, by `heads` heads. The optional input
 * `mask`, bool [N, T], is true for positions that exist: padding is not attended to. Give it as an input of the model,
 * `nn.model(layer, { input: { x: ["N", T, width], mask: ["N", T] } })`, or to the layer, `layer(x, { mask })`.
 * Parameters are named, shaped and initialised as those of PyTorch's `MultiheadAttention` (with `batch_first`):
 * `in_proj_weight` [3 * width, width] (queries, keys, values), `in_proj_bias`, `out_proj.weight`, `out_proj.bias`.
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 1 up, or `heads` does not divide `width`.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: x or `mask` does not fit.
 */
export function multiHeadAttention(width: number, heads: number, options: AttentionOptions = {}): Module {
  const { causal = false, bias = true, dropout: p = 0 } = options;
  count("multiHeadAttention", "width", width);
  count("multiHeadAttention", "heads", heads);
  if (width % heads !== 0)
    throw invalid(`multiHeadAttention: ${heads} heads do not divide a width of ${width}; give a divisor.`);
  const projection = linear(width, width, { bias });
  const parts = {
    in_proj_weight: xavierUniform([3 * width, width]),
    ...(bias ? { in_proj_bias: zeros([3 * width]) } : {}),
    out_proj: bias ? { ...projection, parameters: { ...projection.parameters, bias: zeros([width]) } } : projection,
    drop: dropout(p),
  };
  const forward = (x: Traced, { in_proj_weight, in_proj_bias, out_proj, drop }: Bound<typeof parts>, mask?: Traced) => {
    requireSequence(x, width);
    requireSameDType("its input and weight", [x.value, in_proj_weight.value]);
    const product = x.matmul(in_proj_weight.transpose());
    const projected = in_proj_bias ? product.add(in_proj_bias) : product;
    const part = (k: number) => perHead(projected.slice(2, k * width, (k + 1) * width), heads);
    const keep = mayBeSeen(x, causal, mask);
    const attended = drop(attentionWeights(part(0), part(1), keep)).matmul(part(2));
    return out_proj(attended.transpose([0, 2, 1, 3]).reshape(x.shape));
  };
  return module((x, bound, { mask }) => forward(x, bound, mask), parts, "multiHeadAttention", { mask: padding });
}
