import { factorOf } from "../graph/dim.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import type { Build } from "./build.js";
import { intsAttribute } from "./checks.js";
import { autoPadOf, extentOf, positionsOf, readWindow } from "./window.js";

/**
 * A pool that rounds its number of windows up (ceil_mode). ONNX's shape inference counts a last window even
 * where it would begin outside the padded input, which the kernel does not have, and the runtime then
 * trips over its own shapes. Such pools are stated so that nothing needs rounding. Null where there is
 * nothing to do.
 */
export function exactPool(node: Node, build: Build): Value[] | null {
  if (autoPadOf(node).startsWith("SAME")) return explicitPool(node, build);
  if (node.attributes.ceil_mode !== 1 || (node.op !== "AveragePool" && node.op !== "MaxPool")) return null;
  const axes = axesOf(node);
  return node.op === "MaxPool" ? exactMaximum(node, axes, build) : exactAverage(node, axes, build);
}

/**
 * Where it is to find the padding itself, the runtime refuses dilation, rounds up by ceil_mode after all,
 * and counts other windows where they are smaller than their stride.
 */
function explicitPool(node: Node, build: Build): Value[] | null {
  const spatial = (node.inputs[0] as Value).shape.slice(2).map(factorOf);
  const window = readWindow(node, intsAttribute(node, "kernel_shape") ?? [], spatial);
  const plain = window.kernel.every((size, axis) => {
    return window.dilations[axis] === 1 && size >= (window.strides[axis] as number);
  });
  if (plain && node.attributes.ceil_mode !== 1) return null;
  const pads = [...window.before, ...window.after];
  const attributes = { ...node.attributes, auto_pad: "NOTSET", ceil_mode: 0, pads };
  return [...build.node(node.op, node.inputs, attributes, node.outputs.length, node).outputs];
}

interface Axis {
  readonly size: number;
  readonly before: number;
  readonly after: number;
  readonly kernel: number;
  /** What the windows there are reach beyond the input, negative where they leave some of it out. */
  readonly overhang: number;
  /** There is a window more than rounding down would give. */
  readonly up: boolean;
}

function axesOf(node: Node): Axis[] {
  const [x, y] = [node.inputs[0] as Value, node.outputs[0] as Value];
  const spatial = x.shape.slice(2).map(factorOf);
  const window = readWindow(node, intsAttribute(node, "kernel_shape") ?? [], spatial);
  const down = positionsOf(spatial, window);
  return spatial.map((size, axis) => {
    const positions = factorOf(y.shape[axis + 2] ?? 0);
    const [before, stride] = [window.before[axis] as number, window.strides[axis] as number];
    const overhang = (positions - 1) * stride + extentOf(window, axis) - size - before;
    const [after, kernel] = [window.after[axis] as number, window.kernel[axis] as number];
    return { size, before, after, kernel, overhang, up: positions > (down[axis] as number) };
  });
}

/** Padding never is a maximum: pad as far as the last window reaches. (The runtime pads by less than a kernel.) */
function exactMaximum(node: Node, axes: readonly Axis[], build: Build): Value[] | null {
  const after = axes.map((axis) => (axis.up ? axis.overhang : axis.after));
  if (axes.some((axis, k) => (after[k] as number) >= axis.kernel)) return null;
  const pads = [...axes.map((axis) => axis.before), ...after];
  const attributes = { ...node.attributes, auto_pad: "NOTSET", ceil_mode: 0, pads };
  return [...build.node("MaxPool", node.inputs, attributes, node.outputs.length, node).outputs];
}

/**
 * An average may count padding, so none is added; along the other axes there is less of it, or elements that
 * no window reaches are left out.
 */
function exactAverage(node: Node, axes: readonly Axis[], build: Build): Value[] | null {
  const up = axes.some((axis) => axis.up);
  const after = axes.map((axis) => (axis.up ? axis.after : Math.max(0, axis.overhang)));
  const cropped = axes.reduce(
    (value, axis, k) =>
      axis.up || axis.overhang >= 0 ? value : build.slice(value, k + 2, 0, axis.size + axis.overhang),
    node.inputs[0] as Value,
  );
  const fits = up && cropped === node.inputs[0] && axes.every((axis, k) => axis.after === after[k]);
  if (fits) return null;
  const attributes = {
    ...node.attributes,
    auto_pad: "NOTSET",
    ceil_mode: up ? 1 : 0,
    pads: [...axes.map((axis) => axis.before), ...after],
  };
  return [...build.node("AveragePool", [cropped], attributes, 1, node).outputs];
}

/**
 * The runtime makes a Pad the padding of the average that reads it, even of more than it takes there, and then
 * refuses its own graph. It does not do so with a Pad that names its axes. Null where there is no such Pad.
 */
export function apartFromPad(node: Node, build: Build): Node | null {
  const [padded] = node.inputs as [Value];
  const pad = nodeOf(padded);
  const [x, pads, value, axes] = pad?.op === "Pad" ? pad.inputs : [];
  const kernel = intsAttribute(node, "kernel_shape") ?? [];
  const least = Math.min(...kernel.map((size, axis) => size - Math.max(...ownPadding(node, axis, kernel.length))));
  if (!pad || !x || !pads?.known || axes || pads.known.every((amount) => factorOf(amount) < least)) return null;
  const all = build.ints(padded.shape.map((_, axis) => axis));
  const named = build.op("Pad", [x, pads, value ?? null, all], pad.attributes);
  return build.node(node.op, [named], node.attributes, 1, node);
}

function ownPadding(node: Node, axis: number, rank: number): number[] {
  const pads = intsAttribute(node, "pads") ?? [];
  return [0, pads[axis] ?? 0, pads[axis + rank] ?? 0];
}
