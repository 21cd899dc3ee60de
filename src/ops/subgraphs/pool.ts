/** What all pooling ops share. */

import { type Dim, elementsOf, isBatch, multiply, type Shape } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import { dimsValue, type Node, type Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { extentOf, kernelSize, positionsOf } from "../../graph/window.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  agree,
  intAttribute,
  intsAttribute,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { leadingSampleAxis, readWindow, spatialOf } from "./window.js";

type Named = Call | Node;

export interface Pool {
  readonly spatial: readonly number[];
  readonly positions: readonly number[];
  /** `after` reaches as far as the last window, which with ceil_mode may be beyond the stated padding. */
  readonly window: Window;
  /** The padding as stated. */
  readonly stated: Window;
}

export function poolOf(node: Named): Pool {
  const spatial = spatialOf(node, requireInput(node, 0));
  const kernel = intsAttribute(node, "kernel_shape");
  if (!kernel) throw shapeMismatch(node, "has no kernel_shape");
  const stated = readWindow(node, kernel, spatial);
  requireConstant(node, kernelSize(stated), "a kernel");
  // Also with auto_pad "VALID", as in ONNX Runtime.
  const ceil =
    intAttribute(node, "ceil_mode", 0) === 1 && !stringAttribute(node, "auto_pad", "NOTSET").startsWith("SAME");
  const positions = ceil ? roundedUp(spatial, stated) : positionsOf(spatial, stated);
  if (positions.some((count) => count < 1))
    throw shapeMismatch(part(node, "the window"), "is larger than the padded input");
  const after = positions.map((count, axis) => {
    const end = (count - 1) * nth(stated.strides, axis) + extentOf(stated, axis);
    return Math.max(nth(stated.after, axis), end - nth(spatial, axis) - nth(stated.before, axis));
  });
  return { spatial, positions, window: { ...stated, after }, stated };
}

/** The number of positions with ceil_mode: the last window may extend beyond the end, but must begin before it. */
function roundedUp(spatial: readonly number[], window: Window): number[] {
  return spatial.map((size, axis) => {
    const [stride, before, after] = leadingOf(
      [window.strides, window.before, window.after].map((list) => list[axis]),
      3,
    );
    const count = Math.ceil((size + before + after - extentOf(window, axis)) / stride) + 1;
    return (count - 1) * stride >= size + before ? count - 1 : count;
  });
}

export function planesOf(shape: Shape): Dim {
  return present(multiply(nth(shape, 0), nth(shape, 1)));
}

/** The runtime allows no more padding than this in pools. LpPool becomes a convolution, which may have any. */
function requireLessThanKernel(call: Call, { kernel, before, after }: Window): void {
  const fits = kernel.every((size, axis) => nth(before, axis) < size && nth(after, axis) < size);
  if (!fits && call.op !== "LpPool")
    throw unsupported(
      part(call, `the padding [${[...before, ...after].join(", ")}]`),
      `reaches beyond the kernel of [${kernel.join(", ")}]`,
    );
}

export function inferPool(call: Call): { dtype: Value["dtype"]; shape: Shape }[] {
  const { dtype, shape } = requireInput(call, 0);
  const { positions, stated } = poolOf(call);
  requireLessThanKernel(call, stated);
  const output = [...shape.slice(0, 2), ...positions];
  const indices = { dtype: "int64", shape: output } as const;
  return call.outputs > 1 ? [{ dtype, shape: output }, indices] : [{ dtype, shape: output }];
}

/** MaxUnpool with the same indices for all: each element along the new leading axis is scattered by itself. */
function scatterEach(node: Node, x: Value, build: Build): Value[] {
  const [batch, ...rest] = leadingOf(x.shape, 1);
  const shape = outputOf(node, 0).shape;
  const [places, elements] = [elementsOf(rest), elementsOf(shape)];
  if (places === undefined || elements === undefined || isBatch(places) || isBatch(elements))
    throw unsupported(node, "cannot be computed for a batch of inputs that hold the samples already");
  const indices = build.expand(build.reshape(inputOf(node, 1), [1, places]), [batch, places]);
  const zeros = build.zeros([batch, elements], x.dtype);
  const flat = build.op("ScatterElements", [zeros, indices, build.reshape(x, [batch, places])], { axis: 1 });
  return [build.reshape(flat, [batch, ...shape])];
}

/** Folds the new leading axis into that of the examples, and restores it in the results. */
export const batchPool: NonNullable<OpDefinition["batch"]> = (node, inputs, batched, build) => {
  if (node.op === "MaxUnpool" && !batched[1]) return scatterEach(node, nth(inputs, 0), build);
  const batch = nth(nth(inputs, batched.indexOf(true)).shape, 0);
  const folded = inputs.slice(0, node.op === "MaxUnpool" ? 2 : 1).map((input, k) => {
    const shape = inputOf(node, k).shape;
    const merged = multiply(batch, nth(shape, 0));
    if (merged === undefined)
      throw unsupported(node, "cannot be computed for a batch of inputs that hold the samples already");
    const whole = batched[k] ? present(input) : build.expand(present(input), [batch, ...shape]);
    return build.reshape(whole, [merged, ...shape.slice(1)]);
  });
  const shape = outputOf(node, 0).shape;
  if (node.op === "MaxUnpool") folded.push(dimsValue([present(multiply(batch, nth(shape, 0))), ...shape.slice(1)]));
  const result = build.node(node.op, folded, node.attributes, node.outputs.length);
  return result.outputs.map((output) => build.reshape(output, [batch, ...shape]));
};

export const poolSampleAxis: NonNullable<OpDefinition["sampleAxis"]> = (node, axes) => {
  const at = leadingSampleAxis(node, agree(node, axes.slice(0, 2)));
  return node.outputs.map(() => at);
};
