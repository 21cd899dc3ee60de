import { factorOf } from "../../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../../graph/operands.js";
import { type Node, nodeOf, type Value } from "../../../graph/value.js";
import { extentOf, positionsOf } from "../../../graph/window.js";
import type { Build } from "../../../ops/build.js";
import { intAttribute, intsAttribute } from "../../../ops/checks.js";
import { autoPadOf, readWindow } from "../../../ops/subgraphs/window.js";
import { nth, present } from "../../../present.js";

/**
 * A pool that rounds its number of windows up (ceil_mode). ONNX's shape inference counts a last window even if it would
 * begin outside the padded input; the kernel has no such window, and the runtime then fails on its own shapes. Such
 * pools are restated so that the two agree along each axis. Null if there is nothing to do.
 */
export function exactPool(node: Node, build: Build): Value[] | null {
  if (autoPadOf(node).startsWith("SAME")) return explicitPool(node, build);
  if (node.attributes.ceil_mode !== 1) return null;
  const axes = axesOf(node);
  return paddedPool(node, axes, build) ?? croppedPool(node, axes, build);
}

/**
 * If the runtime is to find the padding itself (auto_pad), it refuses dilation, rounds up by ceil_mode all the same,
 * and counts other windows if they are smaller than their stride.
 */
function explicitPool(node: Node, build: Build): Value[] | null {
  const spatial = inputOf(node, 0).shape.slice(2).map(factorOf);
  const window = readWindow(node, intsAttribute(node, "kernel_shape") ?? [], spatial);
  const plain = window.kernel.every((size, axis) => {
    return window.dilations[axis] === 1 && size >= nth(window.strides, axis);
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
  /** How far the windows reach beyond the input; negative if they leave a part of it out. */
  readonly overhang: number;
  /** Whether there is one window more than rounding down would give. */
  readonly up: boolean;
}

function axesOf(node: Node): Axis[] {
  const [x, y] = [inputOf(node, 0), outputOf(node, 0)];
  const spatial = x.shape.slice(2).map(factorOf);
  const window = readWindow(node, intsAttribute(node, "kernel_shape") ?? [], spatial);
  const down = positionsOf(spatial, window);
  return spatial.map((size, axis) => {
    const positions = factorOf(y.shape[axis + 2] ?? 0);
    const [before, stride] = [nth(window.before, axis), nth(window.strides, axis)];
    const overhang = (positions - 1) * stride + extentOf(window, axis) - size - before;
    const [after, kernel] = [nth(window.after, axis), nth(window.kernel, axis)];
    return { size, before, after, kernel, overhang, up: positions > nth(down, axis) };
  });
}

/**
 * Rounds down, with padding as far as the last window reaches. Null if that would change the result, since an average
 * may count padding, and if the runtime refuses it because it must be less than a kernel.
 */
function paddedPool(node: Node, axes: readonly Axis[], build: Build): Value[] | null {
  const after = axes.map((axis) => (axis.up ? axis.overhang : axis.after));
  const same = axes.every(({ up, kernel }, k) => !up || (node.op === "MaxPool" && nth(after, k) < kernel));
  if (!same) return null;
  const attributes = { ...node.attributes, auto_pad: "NOTSET", ceil_mode: 0, pads: padsOf(axes, after) };
  return [...build.node(node.op, node.inputs, attributes, node.outputs.length, node).outputs];
}

/**
 * Rounds up if there is one window more. Along the other axes nothing is left to round: padding is reduced, or
 * elements that no window reaches are cropped.
 */
function croppedPool(node: Node, axes: readonly Axis[], build: Build): Value[] | null {
  const after = axes.map((axis) => (axis.up ? axis.after : Math.max(0, axis.overhang)));
  const [x] = inputsOf(node, 1);
  const cropped = axes.reduce((value, { size, overhang }, k) => {
    return overhang < 0 ? build.slice(value, k + 2, 0, size + overhang) : value;
  }, x);
  if (cropped === x && axes.every((axis, k) => axis.after === after[k])) return null;
  const attributes = { ...node.attributes, auto_pad: "NOTSET", ceil_mode: 1, pads: padsOf(axes, after) };
  const [y, ...indices] = build.node(node.op, [cropped], attributes, node.outputs.length, node).outputs;
  const fastestFirst = intAttribute(node, "storage_order", 0) === 1 ? axes : [...axes].reverse();
  return [present(y), ...indices.map((each) => uncroppedIndices(each, fastestFirst, build))];
}

function padsOf(axes: readonly Axis[], after: readonly number[]): number[] {
  return [...axes.map(({ before }) => before), ...after];
}

/**
 * Flat indices into the cropped input become indices into the whole one, whose rows are longer. Axes that change
 * fastest come first.
 */
function uncroppedIndices(indices: Value, axes: readonly Axis[], build: Build): Value {
  let [value, behind] = [indices, 1];
  for (const { size, overhang } of axes) {
    if (overhang < 0) {
      const rows = build.div(value, build.ints([(size + overhang) * behind], []));
      value = build.add(value, build.mul(rows, build.ints([-overhang * behind], [])));
    }
    behind *= size;
  }
  return value;
}

/**
 * The runtime fuses a Pad into the average that reads it, even with more padding than it accepts there, and then
 * refuses its own graph. It does not fuse a Pad that names its axes. Null if there is no such Pad.
 */
export function apartFromPad(node: Node, build: Build): Node | null {
  const [padded] = inputsOf(node, 1);
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
