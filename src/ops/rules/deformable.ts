/** DeformConv: a composite of lookups at computed places and a product with the kernel. */

import { type Dim, factorOf, multiply, sameDim, sameShape, showShape } from "../../graph/dim.js";
import { inputsOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import type { Window } from "../../graph/window.js";
import { kernelSize, positionsOf } from "../../graph/window.js";
import { leadingOf, nth } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { intAttribute, interaction, intsAttribute, part, requireInput, shapeMismatch } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant, requireSteps } from "../limits.js";
import { cornersOf, weightedCorners } from "../subgraphs/grid-corners.js";
import { elementTaps } from "../subgraphs/grid-taps.js";
import { readWindow, spatialOf } from "../subgraphs/window.js";

interface Deformation {
  readonly window: Window;
  readonly spatial: readonly number[];
  readonly positions: readonly number[];
  readonly channels: number;
  readonly outputs: number;
  readonly groups: number;
  /** The number of channel groups; the channels of a group are read at the same places. */
  readonly places: number;
}

function deformationOf(call: Call | Node): Deformation {
  const [x, weight, offset] = leadingOf(
    [0, 1, 2].map((k) => requireInput(call, k)),
    3,
  );
  const spatial = spatialOf(call, x);
  const [count, channels] = x.shape as [Dim, number];
  const [outputs, each, ...kernel] = weight.shape;
  const window = readWindow(call, kernel.map(factorOf), spatial);
  const [groups, places] = [intAttribute(call, "group", 1), intAttribute(call, "offset_group", 1)];
  const stated = intsAttribute(call, "kernel_shape") ?? window.kernel;
  const divides = [groups, places].every((parts) => parts >= 1 && channels % parts === 0);
  if (!divides || each !== channels / groups || typeof outputs !== "number" || outputs % groups !== 0)
    throw shapeMismatch(
      part(call, `the weight ${showShape(weight.shape)}`),
      `does not fit ${channels} channels in ${groups} and ${places} groups`,
    );
  if (!sameShape(stated, window.kernel))
    throw shapeMismatch(
      part(call, `the kernel_shape ${showShape(stated)}`),
      `is not that of its weight ${showShape(weight.shape)}`,
    );
  const positions = positionsOf(spatial, window);
  const size = kernelSize(window);
  const shapes = [
    [count, places * size * spatial.length, ...positions],
    [count, places * size, ...positions],
  ] as const;
  for (const [k, given] of [offset, call.inputs[4]].entries()) {
    if (given && !sameShape(given.shape, shapes[k] ?? []))
      throw shapeMismatch(
        part(call, `the ${k === 0 ? "offset" : "mask"} ${showShape(given.shape)}`),
        `is not ${showShape(shapes[k] ?? [])}`,
      );
  }
  const bias = call.inputs[3];
  if (bias && !(bias.shape.length === 1 && sameDim(nth(bias.shape, 0), outputs)))
    throw shapeMismatch(
      part(call, `the bias ${showShape(bias.shape)}`),
      `does not hold one number for each of ${outputs} channels`,
    );
  return { window, spatial, positions, channels, outputs, groups, places };
}

/** `[kernel, positions]`: the place along an axis of each element of the kernel if there were no offset. */
function restingPlaces({ window, positions }: Deformation, axis: number): number[] {
  const along = (shape: readonly number[], at: number) =>
    Math.floor(at / sizeOf(shape.slice(axis + 1))) % nth(shape, axis);
  const count = sizeOf(positions);
  return Array.from({ length: kernelSize(window) * count }, (_, at) => {
    const [k, t] = [along(window.kernel, Math.floor(at / count)), along(positions, at % count)];
    const [stride, dilation] = [nth(window.strides, axis), nth(window.dilations, axis)];
    return t * stride + k * dilation - nth(window.before, axis);
  });
}

/**
 * `[count * places, channels / places, kernel * positions]`: the values that the kernel reads, multiplied by the mask.
 */
function readings(node: Node, deformation: Deformation, build: Build): Value {
  const { window, spatial, positions, channels, places } = deformation;
  const [x, , offset] = inputsOf(node, 3);
  const [size, points] = [kernelSize(window), sizeOf(positions)];
  requireConstant(node, size * points, "a list of places");
  requireSteps(node, 2 ** spatial.length);
  const count = multiply(nth(x.shape, 0), places);
  if (count === undefined) throw interaction(node, "pairs the samples with each other");
  const moved = build.reshape(offset, [count, size, spatial.length, points]);
  const taps = spatial.map((length, axis) => {
    const resting = build.floats(restingPlaces(deformation, axis), [size, points], offset);
    const at = build.add(build.squeeze(build.slice(moved, 2, axis, axis + 1), [2]), resting);
    return elementTaps(build, build.reshape(at, [count, size * points]), length);
  });
  const flat = build.reshape(x, [count, channels / places, sizeOf(spatial)]);
  const read = weightedCorners(build, flat, cornersOf(build, taps, spatial));
  const mask = node.inputs[4];
  return mask ? build.mul(read, build.reshape(mask, [count, 1, size * points])) : read;
}

const deformConv: OpDefinition = {
  op: "DeformConv",
  sameSamples: [0, 2, 4],
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const { outputs, positions } = deformationOf(call);
    return [{ dtype, shape: [nth(shape, 0), outputs, ...positions] }];
  },
  decompose: (node, build) => {
    const deformation = deformationOf(node);
    const { window, positions, channels, outputs, groups } = deformation;
    const [x, weight, , bias] = inputsOf(node, 3);
    const rows = (channels / groups) * kernelSize(window);
    const read = readings(node, deformation, build);
    const columns = build.reshape(read, [nth(x.shape, 0), groups, rows, sizeOf(positions)]);
    const product = build.matmul(build.reshape(weight, [groups, outputs / groups, rows]), columns);
    const y = build.reshape(product, outputOf(node, 0).shape);
    return [bias ? build.add(y, build.reshape(bias, [outputs, ...positions.map(() => 1)])) : y];
  },
};

export const deformable: readonly OpDefinition[] = [deformConv];
