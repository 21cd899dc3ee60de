/** What convolutions and pooling share: windows that slide over the spatial axes (2 and up) of `[n, channels, ...]`. */

import { factorOf, isBatch } from "../../graph/dim.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Attributes, Node, Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { extentOf } from "../../graph/window.js";
import { nth } from "../../present.js";
import type { Call } from "../call.js";
import { interaction, intsAttribute, part, shapeMismatch, stringAttribute, unsupported } from "../checks.js";

/** Throws unless the value is `[n, channels, ...]` with integer sizes (except n) and at least one spatial axis. */
export function spatialOf(call: Call | Node, value: Value): number[] {
  if (value.shape.length < 3)
    throw shapeMismatch(part(call, "the input"), `has ${value.shape.length} axes, none of them spatial`);
  if (isBatch(value.shape[1])) throw interaction(call, "has the samples where the channels should be");
  if (value.shape.slice(2).some(isBatch)) throw interaction(call, "slides its window along the sample axis");
  return value.shape.slice(2).map(factorOf);
}

/** An attribute with one number per spatial axis, at least `least`. */
export function perAxis(
  call: Call | Node,
  name: string,
  rank: number,
  fallback: number,
  least: number,
): readonly number[] {
  const values = intsAttribute(call, name) ?? Array<number>(rank).fill(fallback);
  if (values.length !== rank)
    throw shapeMismatch(part(call, `the attribute "${name}"`), `has ${values.length} numbers for ${rank} spatial axes`);
  if (values.some((value) => value < least))
    throw unsupported(
      part(call, `the attribute "${name}"`),
      `is [${values.join(", ")}]`,
      `give numbers from ${least} up`,
    );
  return values;
}

/** Splits totals of padding; an odd one goes to the end with SAME_UPPER, else to the beginning. */
export function sharePadding(total: readonly number[], upper: boolean): Pick<Window, "before" | "after"> {
  const half = total.map((amount) => Math.floor(amount / 2));
  const rest = total.map((amount, axis) => amount - nth(half, axis));
  return upper ? { before: half, after: rest } : { before: rest, after: half };
}

export type AutoPad = "NOTSET" | "VALID" | "SAME_UPPER" | "SAME_LOWER";

export function autoPadOf(call: Call | Node): AutoPad {
  const mode = stringAttribute(call, "auto_pad", "NOTSET");
  if (mode === "NOTSET" || mode === "VALID" || mode === "SAME_UPPER" || mode === "SAME_LOWER") return mode;
  throw unsupported(call, `has the auto_pad "${mode}", which ONNX does not define`, "give pads instead");
}

export function explicitPadding(call: Call | Node, rank: number): Pick<Window, "before" | "after"> {
  const pads = intsAttribute(call, "pads") ?? Array<number>(2 * rank).fill(0);
  if (pads.length !== 2 * rank)
    throw shapeMismatch(part(call, 'the attribute "pads"'), `has ${pads.length} numbers for ${rank} spatial axes`);
  if (pads.some((amount) => amount < 0))
    throw unsupported(call, "has negative padding", "crop its input by a Slice before it");
  return { before: pads.slice(0, rank), after: pads.slice(rank) };
}

/** The window of an op that slides forwards (Conv, pooling), with auto_pad made explicit. */
export function readWindow(call: Call | Node, kernel: readonly number[], spatial: readonly number[]): Window {
  const rank = spatial.length;
  if (kernel.length !== rank)
    throw shapeMismatch(part(call, "the kernel"), `has ${kernel.length} spatial axes, but the input has ${rank}`);
  const strides = perAxis(call, "strides", rank, 1, 1);
  const dilations = perAxis(call, "dilations", rank, 1, 1);
  const none = Array<number>(rank).fill(0);
  const bare: Window = { kernel, strides, dilations, before: none, after: none };
  const mode = autoPadOf(call);
  if (mode === "VALID") return bare;
  if (mode === "NOTSET") return { ...bare, ...explicitPadding(call, rank) };
  const total = spatial.map((size, axis) => {
    const stride = nth(strides, axis);
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + extentOf(bare, axis) - size);
  });
  return { ...bare, ...sharePadding(total, mode === "SAME_UPPER") };
}

/** The window as ONNX attributes. */
export function windowAttributes(window: Window): Attributes {
  return { strides: window.strides, dilations: window.dilations, pads: [...window.before, ...window.after] };
}

/** The sample axis of an op that treats axis 0 as a batch and everything else as one example. */
export function leadingSampleAxis(node: Node, at: SampleAxis | null | undefined): SampleAxis | null {
  if (at?.axis === 1) throw interaction(node, "has the samples where the channels should be");
  if (at && at.axis > 1) throw interaction(node, "slides its window along the sample axis");
  return at ?? null;
}
