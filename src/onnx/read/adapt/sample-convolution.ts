/**
 * Convolutions of each sample by a kernel of its own. PyTorch has no such operator, so models fold the samples with the
 * channels and convolve in at least as many groups as there are samples (StyleGAN2, CondConv).
 */

import type { SampleAxes } from "../../../analysis/sample-axes.js";
import { type Dim, factorOf, isBatch, N } from "../../../graph/dim.js";
import { leaf, type Value } from "../../../graph/value.js";
import type { Call } from "../../../ops/call.js";
import { intAttribute } from "../../../ops/checks.js";
import { build, definitionOf } from "../../../ops/registry.js";
import { nth } from "../../../present.js";

/** An operand with the samples first, `[N, ...]`, if `batched`. */
interface Operand {
  readonly value: Value;
  readonly batched: boolean;
}

/** `[N * k, ...]` along `axis` as `[N, ..., k, ...]`. */
function samplesFirst(value: Value, axis: number): Value {
  const { shape } = value;
  const own = factorOf(nth(shape, axis));
  return build.moveAxis(build.reshape(value, [...shape.slice(0, axis), N, own, ...shape.slice(axis + 1)]), axis, 0);
}

/** Each sample's own bias, or one that all share if the channels are not folded with the samples. */
function biasOf(bias: Value | null | undefined, folded: boolean): Operand | null | undefined {
  if (!bias) return null;
  if (isBatch(bias.shape[0])) return { value: samplesFirst(bias, 0), batched: true };
  return folded ? undefined : { value: bias, batched: false };
}

/** An operand of one sample: its shape without the samples. */
function alone({ value, batched }: Operand): Value {
  const { dtype, shape } = value;
  return leaf("", { dtype, shape: batched ? shape.slice(1) : shape }, { kind: "input" });
}

/**
 * Such a convolution as one for all samples; null for any other. Its groups are a multiple of `fixed`, the number of
 * samples that the file was written for.
 */
export function sampleConvolution(call: Call, axes: SampleAxes, fixed: number | undefined): Value | null {
  const [x, w, b] = call.inputs;
  const convolves = definitionOf(call)?.layer?.kind === "convolution";
  if (!convolves || !x || !w || !isBatch(w.shape[0])) return null;
  const groups = intAttribute(call, "group", 1);
  // With one sample in the file, the channels may or may not be folded with it: both are the same.
  const folded = isBatch(x.shape[1]);
  if (fixed === undefined || fixed < 1 || groups % fixed !== 0 || (!folded && !(fixed === 1 && plain(axes, x))))
    return null;
  if (!plain(axes, w)) return null;
  const bias = biasOf(b, folded);
  if (bias === undefined) return null;
  const data = samplesFirst(x, folded ? 1 : 0);
  const operands = [
    { value: data, batched: true },
    { value: samplesFirst(w, 0), batched: true },
    ...(bias ? [bias] : []),
  ];
  const attributes = { ...call.attributes, group: groups / fixed };
  const one = build.node(call.op, operands.map(alone), attributes, 1, { name: call.name });
  const values = operands.map(({ value }) => value);
  const flags = operands.map(({ batched }) => batched);
  const [y] = definitionOf(one)?.batch?.(one, values, flags, build) ?? [];
  if (!y) return null;
  const [, images, channels, ...positions] = y.shape as [Dim, number, number, ...number[]];
  if (!folded) return build.reshape(y, [{ perSample: images }, channels, ...positions]);
  return build.reshape(build.moveAxis(y, 0, 1), [images, { perSample: channels }, ...positions]);
}

/** Whether each sample's elements along axis 0 are contiguous. */
function plain(axes: SampleAxes, value: Value): boolean {
  const at = axes.along(value);
  return at?.axis === 0 && at.outer === 1;
}
