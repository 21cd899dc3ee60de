/** GridSample and AffineGrid: composites of lookups at computed places. */

import { elementsOf, factorOf, isBatch, type Shape, sameDim, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth } from "../../present.js";
import { isFloat, sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  intAttribute,
  interaction,
  knownDims,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant, requireSteps } from "../limits.js";
import { cornersOf, weightedCorners } from "../subgraphs/grid-corners.js";
import { axisTaps, type GridMode, type GridPadding, type GridTap } from "../subgraphs/grid-taps.js";

// GridSample

interface Sampling {
  readonly mode: GridMode;
  readonly padding: GridPadding;
  readonly aligned: boolean;
  readonly spatial: readonly number[];
  /** The positions of the output: the axes of the grid without the first and the last. */
  readonly positions: Shape;
}

function choice<T extends string>(call: Call | Node, name: string, allowed: readonly [T, ...T[]]): T {
  const given = stringAttribute(call, name, allowed[0]);
  const found = allowed.find((one) => one === given);
  if (found === undefined)
    throw unsupported(
      call,
      `has the ${name} "${given}", which pergrad does not know`,
      `give one of ${allowed.join(", ")}`,
    );
  return found;
}

function samplingOf(call: Call | Node): Sampling {
  const [x, grid] = [requireInput(call, 0).shape, requireInput(call, 1).shape];
  const mode = choice(call, "mode", ["linear", "nearest", "cubic"]);
  const rank = x.length - 2;
  if (rank < 1) throw shapeMismatch(part(call, `the input ${showShape(x)}`), "has no spatial axis");
  const fits = grid.length === x.length && grid[rank + 1] === rank && sameDim(nth(x, 0), nth(grid, 0));
  if (!fits) throw shapeMismatch(part(call, `the grid ${showShape(grid)}`), `does not fit its input ${showShape(x)}`);
  if (x.slice(2).some(isBatch)) throw interaction(call, "samples points along the sample axis");
  const spatial = x.slice(2).map(factorOf);
  if (spatial.includes(0)) throw shapeMismatch(part(call, `the input ${showShape(x)}`), "has no element to sample");
  return {
    mode,
    padding: choice(call, "padding_mode", ["zeros", "border", "reflection"]),
    aligned: intAttribute(call, "align_corners", 0) !== 0,
    spatial,
    positions: grid.slice(1, -1),
  };
}

/** The taps along every axis for points `[n, points, rank]`. */
function pointTaps(build: Build, points: Value, { mode, padding, aligned, spatial }: Sampling): GridTap[][] {
  return spatial.map((size, k) => {
    // The grid lists the coordinates of the last axis first.
    const along = build.gather(points, build.ints([spatial.length - 1 - k], []), 2);
    return axisTaps(build, along, mode, { size, padding, aligned });
  });
}

const gridSample: OpDefinition = {
  op: "GridSample",
  sameSamples: [0, 1],
  infer: (call) => {
    const [x, grid] = [requireInput(call, 0), requireInput(call, 1)];
    if (!isFloat(x.dtype) || !isFloat(grid.dtype))
      throw unsupported(call, `samples ${x.dtype} at points of ${grid.dtype}`, "cast both to float32");
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...samplingOf(call).positions] }];
  },
  decompose: (node, build) => {
    const [x, grid] = inputsOf(node, 2);
    const sampling = samplingOf(node);
    const count = elementsOf(sampling.positions);
    if (count === undefined) throw interaction(node, "pairs the samples with each other");
    const [first, channels] = leadingOf(x.shape, 2);
    const flat = build.reshape(x, [first, channels, sizeOf(sampling.spatial)]);
    const points = build.reshape(grid, [first, count, sampling.spatial.length]);
    requireSteps(node, (sampling.mode === "cubic" ? 4 : 2) ** sampling.spatial.length);
    const corners = cornersOf(build, pointTaps(build, points, sampling), sampling.spatial);
    const sum = weightedCorners(build, flat, corners);
    return [build.reshape(sum, outputOf(node, 0).shape)];
  },
};

// AffineGrid

/** The spatial sizes of the grid. */
function gridSizes(call: Call | Node): number[] {
  const theta = requireInput(call, 0).shape;
  const size = knownDims(call, 1) ?? [];
  const rank = size.length - 2;
  const fits = (rank === 2 || rank === 3) && theta.length === 3 && theta[1] === rank && theta[2] === rank + 1;
  if (!fits || !sameDim(nth(theta, 0), nth(size, 0)))
    throw shapeMismatch(part(call, `input theta ${showShape(theta)}`), `does not fit the size ${showShape(size)}`);
  const spatial = size.slice(2);
  if (spatial.some(isBatch)) throw interaction(call, "lays a grid along the sample axis");
  return spatial.map(factorOf);
}

const cornersAligned = (call: Call | Node) => intAttribute(call, "align_corners", 0) !== 0;

/** The coordinates, from -1 to 1, of the elements along an axis. */
function coordinates(size: number, aligned: boolean): number[] {
  return Array.from({ length: size }, (_, i) => (aligned ? (2 * i) / (size - 1) : (2 * i + 1) / size) - 1);
}

/** `[points, rank + 1]`: the coordinates of each point, last axis first, followed by a 1. */
function homogeneousPoints(call: Call | Node, sizes: readonly number[]): number[] {
  requireConstant(call, sizeOf(sizes) * (sizes.length + 1), "a grid");
  const axes = sizes.map((size) => coordinates(size, cornersAligned(call)));
  const points = axes.reduce<number[][]>(
    (outer, along) => outer.flatMap((point) => along.map((at) => [at, ...point])),
    [[]],
  );
  return points.flatMap((point) => [...point, 1]);
}

const affineGrid: OpDefinition = {
  op: "AffineGrid",
  shapeInputs: [1],
  infer: (call) => {
    const theta = requireInput(call, 0);
    if (!isFloat(theta.dtype))
      throw unsupported(call, `transforms by a matrix of ${theta.dtype}`, "cast it to float32");
    const sizes = gridSizes(call);
    if (cornersAligned(call) && sizes.includes(1))
      throw unsupported(
        call,
        "has align_corners=1, which does not say where the one element of an axis lies",
        "export it with align_corners=0",
      );
    return [{ dtype: theta.dtype, shape: [nth(theta.shape, 0), ...sizes, sizes.length] }];
  },
  decompose: (node, build) => {
    const theta = inputOf(node, 0);
    const sizes = gridSizes(node);
    const points = build.floats(homogeneousPoints(node, sizes), [sizeOf(sizes), sizes.length + 1], theta);
    const grid = build.matmul(points, build.transposeLast(theta));
    return [build.reshape(grid, outputOf(node, 0).shape)];
  },
};

export const grids: readonly OpDefinition[] = [gridSample, affineGrid];
