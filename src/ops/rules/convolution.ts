/** Conv and ConvTranspose, over one or more spatial axes. */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import { addProducts } from "../../float64/convolve64.js";
import { type Dim, factorOf, fixedSize, isBatch, multiply, type Shape } from "../../graph/dim.js";
import { inputsOf, outputOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Node, Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { extentOf, kernelSize, positionsOf } from "../../graph/window.js";
import { leadingOf, nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { intAttribute, intsAttribute, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { Cotangent } from "../cotangent.js";
import type { OpDefinition } from "../definition.js";
import { dataCotangent } from "../subgraphs/convolution-data.js";
import { convolutionRules } from "../subgraphs/convolution-weight.js";
import { patchWeight, unfold } from "../subgraphs/unfold.js";
import {
  autoPadOf,
  explicitPadding,
  leadingSampleAxis,
  perAxis,
  readWindow,
  sharePadding,
  spatialOf,
  windowAttributes,
} from "../subgraphs/window.js";

type Named = Call | Node;

export function groupsOf(node: Named): number {
  return intAttribute(node, "group", 1);
}

function isTransposed(node: Named): boolean {
  return node.op === "ConvTranspose";
}

function kernelOf(call: Named): number[] {
  const weight = requireInput(call, 1);
  const kernel = weight.shape.slice(2);
  const stated = intsAttribute(call, "kernel_shape");
  if (weight.shape.some(isBatch)) throw unsupported(part(call, "the weight's shape"), "depends on the batch size");
  if (stated && (stated.length !== kernel.length || stated.some((size, axis) => size !== kernel[axis]))) {
    throw shapeMismatch(part(call, `the kernel_shape [${stated.join(", ")}]`), "is not that of its weight");
  }
  return kernel.map(factorOf);
}

/**
 * A transposed convolution, described by the window that slides over its output, with one position per input element.
 */
interface Transposed {
  readonly window: Window;
  readonly output: readonly number[];
}

export function transposedOf(call: Named): Transposed {
  const spatial = spatialOf(call, requireInput(call, 0));
  const [rank, kernel] = [spatial.length, kernelOf(call)];
  if (kernel.length !== rank)
    throw shapeMismatch(part(call, "the kernel"), `has ${kernel.length} spatial axes, but the input has ${rank}`);
  const none = Array<number>(rank).fill(0);
  const strides = perAxis(call, "strides", rank, 1, 1);
  const bare = { kernel, strides, dilations: perAxis(call, "dilations", rank, 1, 1), before: none, after: none };
  const extra = perAxis(call, "output_padding", rank, 0, 0);
  const full = spatial.map((size, axis) => {
    return nth(strides, axis) * (size - 1) + extentOf(bare, axis) + nth(extra, axis);
  });
  const mode = autoPadOf(call);
  const same = mode === "SAME_UPPER" || mode === "SAME_LOWER";
  const stated = intsAttribute(call, "output_shape")?.slice(-rank);
  if (stated && stated.length !== rank)
    throw shapeMismatch(
      part(call, 'the attribute "output_shape"'),
      `has ${stated.length} numbers for ${rank} spatial axes`,
    );
  const target = stated ?? (same ? spatial.map((size, axis) => size * nth(strides, axis)) : undefined);
  const padding = target
    ? sharePadding(
        full.map((size, axis) => Math.max(0, size - nth(target, axis))),
        mode === "SAME_UPPER",
      )
    : mode === "VALID"
      ? { before: none, after: none }
      : explicitPadding(call, rank);
  const window = { ...bare, ...padding };
  const output = stated ?? full.map((size, axis) => size - nth(window.before, axis) - nth(window.after, axis));
  if (output.some((size) => size < 0)) throw shapeMismatch(part(call, "the padding"), "crops more than there is");
  return { window, output };
}

/**
 * The window of a Conv, which slides over the input, or of a ConvTranspose, which slides over the output. Padding is
 * explicit.
 */
export function windowOf(node: Named): Window {
  if (isTransposed(node)) return transposedOf(node).window;
  return readWindow(node, kernelOf(node), spatialOf(node, requireInput(node, 0)));
}

function inferConvolution(call: Call): { dtype: Value["dtype"]; shape: Shape }[] {
  const [x, w] = [requireInput(call, 0), requireInput(call, 1)];
  const spatial = spatialOf(call, x);
  const [groups, window] = [groupsOf(call), windowOf(call)];
  if (groups < 1) throw unsupported(part(call, 'the attribute "group"'), `is ${groups}`, "give a number from 1 up");
  const [first, second] = leadingOf(w.shape.slice(0, 2).map(factorOf), 2);
  const transposed = isTransposed(call);
  const channels = transposed ? first : second * groups;
  const outputs = transposed ? second * groups : first;
  if (factorOf(nth(x.shape, 1)) !== channels || first % groups !== 0) {
    throw shapeMismatch(
      call,
      `has an input of ${factorOf(nth(x.shape, 1))} channels, which does not fit its weight [${w.shape.join(", ")}] in ${groups} groups`,
    );
  }
  const bias = call.inputs[2];
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== outputs))
    throw shapeMismatch(part(call, "the bias"), `is not of shape [${outputs}]`);
  const positions = transposed ? transposedOf(call).output : positionsOf(spatial, window);
  if (!transposed && positions.includes(0))
    throw shapeMismatch(part(call, "the kernel"), "is larger than the padded input");
  if (positions.some((count) => count < 1))
    throw shapeMismatch(part(call, "the padding"), "takes away the whole output");
  return [{ dtype: x.dtype, shape: [nth(x.shape, 0), outputs, ...positions] }];
}

// The reference

/** Adds the bias in place. */
function addBias(y: Array64, bias: Array64 | null | undefined): Array64 {
  if (!bias) return y;
  const plane = sizeOf(y.dims.slice(2));
  const outputs = nth(y.dims, 1);
  for (let at = 0, row = 0; at < y.data.length; at += plane, row++) {
    const offset = bias.data[row % outputs] as number;
    for (let t = at; t < at + plane; t++) y.data[t] = (y.data[t] as number) + offset;
  }
  return y;
}

function evaluateConvolution(inputs: readonly (Array64 | null)[], node: Node): Array64[] {
  const [x, w, bias] = leadingOf(inputs, 2);
  const groups = groupsOf(node);
  const transposed = isTransposed(node);
  const [first, second] = leadingOf(w.dims, 2);
  const [outer, inner] = [x.dims.slice(2), outputOf(node, 0).shape.slice(2).map(factorOf)];
  const y = zeros64([nth(x.dims, 0), transposed ? second * groups : first, ...inner]);
  const planes = { images: nth(x.dims, 0), groups, big: second, small: first / groups };
  if (transposed)
    addProducts({ big: y.data, small: x.data, weight: w.data }, "big", planes, inner, outer, windowOf(node));
  else addProducts({ big: x.data, small: y.data, weight: w.data }, "small", planes, outer, inner, windowOf(node));
  return [addBias(y, bias)];
}

// Derivatives

function biasCotangent(node: Node, dy: Value): Cotangent[] {
  const bias = node.inputs[2];
  if (!bias) return [];
  const axes = dy.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  return [{ kind: "reduction", value: dy, axes, shape: bias.shape }];
}

function differentiateConv(node: Node, dy: Value, build: Build, wanted: readonly boolean[]): (Cotangent | null)[] {
  const [x, w] = inputsOf(node, 2);
  const [window, groups] = [windowOf(node), groupsOf(node)];
  return [
    wanted[0] ? dataCotangent(build, dy, { weight: w, window, groups, spatial: x.shape.slice(2).map(factorOf) }) : null,
    { kind: "convolution", data: x, cotangent: dy, groups, window, shape: w.shape, rules: convolutionRules },
    ...biasCotangent(node, dy),
  ];
}

/**
 * A window and the data that it slides over, chosen so that it has exactly `positions` positions. Output padding of a
 * stride or more would leave room for further positions, so it is cut off.
 */
function exactPositions(
  build: Build,
  data: Value,
  window: Window,
  positions: readonly number[],
): { data: Value; window: Window } {
  const found = positionsOf(data.shape.slice(2).map(factorOf), window);
  if (found.every((count, axis) => count === positions[axis])) return { data, window };
  const none = window.kernel.map(() => 0);
  let cut = build.pad(data, [0, 0, ...window.before], [0, 0, ...window.after]);
  positions.forEach((count, axis) => {
    cut = build.slice(cut, axis + 2, 0, (count - 1) * nth(window.strides, axis) + extentOf(window, axis));
  });
  return { data: cut, window: { ...window, before: none, after: none } };
}

/** The roles are exchanged: the kernel slides over dy, and the weight is that of the Conv that maps dy to x. */
function differentiateTransposed(
  node: Node,
  dy: Value,
  build: Build,
  wanted: readonly boolean[],
): (Cotangent | null)[] {
  const [x, w] = inputsOf(node, 2);
  const groups = groupsOf(node);
  const { data, window } = exactPositions(build, dy, windowOf(node), x.shape.slice(2).map(factorOf));
  return [
    wanted[0] ? build.op("Conv", [data, w], { ...windowAttributes(window), group: groups }) : null,
    { kind: "convolution", data, cotangent: x, groups, window, shape: w.shape, rules: convolutionRules },
    ...biasCotangent(node, dy),
  ];
}

// One more leading axis

function batchConvolution(
  node: Node,
  inputs: readonly (Value | null)[],
  batched: readonly boolean[],
  build: Build,
): Value[] {
  const [x, w, bias] = leadingOf(inputs, 2);
  const shape = outputOf(node, 0).shape;
  const batch = present(batched[0] ? x.shape[0] : batched[1] ? w.shape[0] : 1);
  if (batched[0] || batched[1]) requireFoldable(node, batch, nth(shape, 0));
  const images = batched[0] ? build.reshape(x, [present(multiply(batch, nth(shape, 0))), ...x.shape.slice(2)]) : x;
  const product = batched[1]
    ? batchedKernels(node, images, w, batched[0] ? [batch] : [], build)
    : build.op(node.op, [images, w], node.attributes);
  const y = build.reshape(product, [batch, ...shape]);
  if (!bias) return [y];
  const aligned: Shape = [batched[2] ? nth(bias.shape, 0) : 1, 1, nth(shape, 1), ...shape.slice(2).map(() => 1)];
  return [build.add(y, build.reshape(bias, aligned))];
}

function requireFoldable(node: Node, batch: Dim, images: Dim): void {
  if (multiply(batch, images) === undefined)
    throw unsupported(node, "cannot be computed for a batch of inputs that hold the samples already");
}

/** Convolves images `[leading * n, ...]` with weights `[B, ...]` as a product of matrices: `[B, n, G, O, T]`. */
function batchedKernels(node: Node, images: Value, weight: Value, leading: readonly Dim[], build: Build): Value {
  const groups = groupsOf(node);
  const transposed = isTransposed(node);
  const { data, window } = transposed ? spreadOut(node, images, build) : { data: images, window: windowOf(node) };
  const { byPatch, order } = unfold(build, data, window, groups);
  const patches = build.reshape(byPatch, [...leading, nth(outputOf(node, 0).shape, 0), ...byPatch.shape.slice(1)]);
  const kernels = transposed ? flipped(weight, groups, window, build) : weight;
  const matrices = patchWeight(build, kernels, order, groups, window.kernel.length);
  return build.matmul(build.unsqueeze(matrices, [1]), patches);
}

/**
 * Turns a ConvTranspose into a Conv: inserts the stride's zeros between the elements of the input, and returns the
 * window that slides over the result.
 */
function spreadOut(node: Node, x: Value, build: Build): { data: Value; window: Window } {
  const { window, output } = transposedOf(node);
  const [images, channels] = leadingOf(x.shape, 2);
  const sizes = x.shape.slice(2).map(factorOf);
  const strides = window.strides;
  const gaps = [0, 0, ...strides.flatMap((stride) => [0, stride - 1])];
  const apart = build.pad(
    build.reshape(x, [images, channels, ...sizes.flatMap((size) => [size, 1])]),
    gaps.map(() => 0),
    gaps,
  );
  const spread = sizes.map((size, axis) => size * nth(strides, axis));
  let data = build.reshape(apart, [images, channels, ...spread]);
  const none = sizes.map(() => 0);
  const before = none.map((_, axis) => extentOf(window, axis) - 1 - nth(window.before, axis));
  const length = output.map((size, axis) => size + extentOf(window, axis) - 1);
  const after = none.map((_, axis) => nth(length, axis) - nth(spread, axis) - nth(before, axis));
  const positive = (amounts: readonly number[]) => [0, 0, ...amounts.map((amount) => Math.max(0, amount))];
  data = build.pad(data, positive(before), positive(after));
  before.forEach((amount, axis) => {
    const start = Math.max(0, -amount);
    if (data.shape[axis + 2] !== length[axis]) data = build.slice(data, axis + 2, start, start + nth(length, axis));
  });
  return { data, window: { ...window, strides: none.map(() => 1), before: none, after: none } };
}

/** `[B, G*I, O, ...kernel]` as the weight `[B, G*O, I, ...kernel]` of the Conv that runs over the kernel in reverse. */
function flipped(weight: Value, groups: number, window: Window, build: Build): Value {
  const [batch, inputs, outputs] = [nth(weight.shape, 0), fixedSize(weight.shape, 1), fixedSize(weight.shape, 2)];
  const size = kernelSize(window);
  const split = build.reshape(weight, [batch, groups, inputs / groups, outputs, size]);
  const backwards = build.gather(split, build.ints(Array.from({ length: size }, (_, k) => size - 1 - k)), 4);
  const exchanged = build.transpose(backwards, [0, 1, 3, 2, 4]);
  return build.reshape(exchanged, [batch, groups * outputs, inputs / groups, ...window.kernel]);
}

function sampleAxis(node: Node, axes: readonly (SampleAxis | null)[]): (SampleAxis | null)[] {
  if (axes[1])
    throw unsupported(
      part(node, "the weight"),
      "differs from sample to sample, but its groups are not as many for each sample",
      "export it with a fixed batch, the samples folded with the channels, and groups that are a multiple of the batch",
    );
  if (axes[2])
    throw unsupported(
      part(node, "the bias"),
      "differs from sample to sample, which pergrad does not know",
      "add it after the convolution",
    );
  return [leadingSampleAxis(node, axes[0])];
}

export const convolution: readonly OpDefinition[] = [
  {
    op: "Conv",
    slides: windowOf,
    layer: { kind: "convolution", names: [undefined, "weight", "bias"], optionalBias: 2 },
    infer: inferConvolution,
    evaluate: evaluateConvolution,
    differentiate: (node, [dy], build, wanted) => differentiateConv(node, present(dy), build, wanted),
    batch: batchConvolution,
    sampleAxis,
  },
  {
    op: "ConvTranspose",
    layer: { kind: "convolution", names: [undefined, "weight", "bias"], optionalBias: 2 },
    infer: inferConvolution,
    evaluate: evaluateConvolution,
    differentiate: (node, [dy], build, wanted) => differentiateTransposed(node, present(dy), build, wanted),
    batch: batchConvolution,
    sampleAxis,
  },
];
