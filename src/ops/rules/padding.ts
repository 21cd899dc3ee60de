/** Pad. */

import { add, type Dim, factorOf, isBatch, type Shape, showShape } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import { constantOf, type Node, type Value, type ValueType } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  apartFrom,
  interaction,
  knownInts,
  ownAxis,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { Cotangent } from "../cotangent.js";
import { type Along, type OpDefinition, perhaps } from "../definition.js";
import { requireConstant } from "../limits.js";
import { between, union } from "../range.js";
import { scatterRows } from "../subgraphs/rows.js";

interface Padding {
  readonly mode: "constant" | "reflect" | "edge" | "wrap";
  /** One number for each axis; negative numbers crop. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export function paddingOf(call: Call | Node): Padding {
  const rank = requireInput(call, 0).shape.length;
  const pads = knownInts(call, 1) ?? [];
  const axes =
    knownInts(call, 3)?.map((axis) => ownAxis(call, axis, rank)) ?? Array.from({ length: rank }, (_, axis) => axis);
  if (pads.length !== 2 * axes.length)
    throw shapeMismatch(call, `has ${pads.length} numbers of padding for ${axes.length} axes`);
  const mode = stringAttribute(call, "mode", "constant");
  if (mode !== "constant" && mode !== "reflect" && mode !== "edge" && mode !== "wrap")
    throw unsupported(
      call,
      `has the mode "${mode}", which pergrad does not know`,
      'give "constant", "edge", "reflect" or "wrap"',
    );
  const amounts = (offset: number) =>
    Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? nth(pads, offset + axes.indexOf(axis)) : 0));
  return { mode, before: amounts(0), after: amounts(axes.length) };
}

function paddedShape(call: Call): Dim[] {
  const { before, after } = paddingOf(call);
  return requireInput(call, 0).shape.map((dim, axis) => {
    const more = nth(before, axis) + nth(after, axis);
    const size = isBatch(dim) && (before[axis] || after[axis]) ? undefined : add(dim, more);
    if (size === undefined) throw interaction(call, "pads the sample axis");
    if (factorOf(size) < 0)
      throw shapeMismatch(call, `crops more than its input ${showShape(requireInput(call, 0).shape)} holds`);
    return size;
  });
}

/** For each element along a padded axis, the index of the element that it copies, or -1 for the constant. */
function sourcesOf({ mode, before, after }: Padding, axis: number, size: number): number[] {
  const first = nth(before, axis);
  return Array.from({ length: size + first + nth(after, axis) }, (_, p) => {
    const at = p - first;
    if (at >= 0 && at < size) return at;
    if (mode === "constant" || size === 0) return -1;
    if (mode === "edge") return at < 0 ? 0 : size - 1;
    const period = mode === "wrap" ? size : Math.max(1, 2 * (size - 1));
    const within = ((at % period) + period) % period;
    return within < size ? within : period - within;
  });
}

function padKnown(call: Call, input: Value): Pick<ValueType, "known"> {
  const padding = paddingOf(call);
  const filling = call.inputs[2] ? call.inputs[2].known?.[0] : 0;
  if (!input.known || input.shape.length !== 1 || filling === undefined) return {};
  return {
    known: sourcesOf(padding, 0, input.known.length).map((at) => (at < 0 ? filling : present(input.known?.[at]))),
  };
}

/** The cotangent of data padded with a constant: dy without the padding, and zeros where the data was cropped. */
function unpad(build: Build, dy: Value, { before, after }: Padding, shape: Shape): Value {
  return shape.reduce<Value>((value, size, axis) => {
    const [first, last] = [nth(before, axis), nth(after, axis)];
    if (isBatch(size) || (first === 0 && last === 0)) return value;
    const [low, high] = [Math.max(0, -first), Math.min(size, size + last)];
    if (high <= low)
      return build.zeros(
        value.shape.map((own, at) => (at === axis ? size : own)),
        dy.dtype,
      );
    const amounts = (amount: number) => shape.map((_, at) => (at === axis ? amount : 0));
    return build.pad(build.slice(value, axis, low + first, high + first), amounts(low), amounts(size - high));
  }, dy);
}

function differentiatePad(node: Node, dy: Value, build: Build, wanted: readonly boolean[]): (Cotangent | null)[] {
  const x = inputOf(node, 0);
  const padding = paddingOf(node);
  if (padding.mode !== "constant") return [copiedCotangent(node, dy, padding, build)];
  const inner = unpad(build, dy, padding, x.shape);
  if (!wanted[2]) return [inner];
  const around = build.sub(dy, build.pad(inner, padding.before, padding.after));
  return [inner, null, { kind: "reduction", value: around, axes: dy.shape.map((_, axis) => axis), shape: [] }];
}

/**
 * The cotangent for reflected, repeated or wrapped elements; the padding is a gather with constant indices along each
 * axis.
 */
function copiedCotangent(node: Node, dy: Value, padding: Padding, build: Build): Value {
  const { shape } = inputOf(node, 0);
  return shape.reduce<Value>((value, dim, axis) => {
    if (isBatch(dim) || (!padding.before[axis] && !padding.after[axis])) return value;
    requireConstant(node, factorOf(nth(value.shape, axis)), "an index");
    const index = build.ints(sourcesOf(padding, axis, dim));
    return scatterRows(
      build,
      index,
      value,
      axis,
      value.shape.map((own, at) => (at === axis ? dim : own)),
    );
  }, dy);
}

/** The steps of the padding, one for each axis. It pads with zeros, or with copies of elements along the same axis. */
function padSteps(node: Node): Along[] | null {
  const { mode, before, after } = paddingOf(node);
  const filling = node.inputs[2];
  if (mode === "constant" && filling && Number(constantOf(filling)?.data[0] ?? Number.NaN) !== 0) return null;
  return before.flatMap((first, axis): Along[] => {
    const last = nth(after, axis);
    if (first === 0 && last === 0) return [];
    const amounts = (value: Value, at: number, amount: number) =>
      value.shape.map((_, own) => (own === at ? amount : 0));
    return [
      {
        kind: "along",
        axis,
        size: factorOf(nth(outputOf(node, 0).shape, axis)),
        apply: (build, value, at) => {
          const pads = build.ints([...amounts(value, at, first), ...amounts(value, at, last)]);
          return build.op("Pad", [value, pads, build.scalar(0, value)], { mode });
        },
        ...(mode === "constant" ? { shift: first } : {}),
      },
    ];
  });
}

export const pad: OpDefinition = {
  op: "Pad",
  light: true,
  settings: { 2: perhaps("the value that Pad fills with") },
  range: (_node, [x, , value]) => union(present(x), value ?? between(0, 0)),
  shapeInputs: [1],
  linear: (node, input) => (input === 0 ? padSteps(node) : null),
  infer: (call) => {
    const input = requireInput(call, 0);
    return [{ dtype: input.dtype, shape: paddedShape(call), ...padKnown(call, input) }];
  },
  evaluate: ([x, , value], node) => {
    const input = present(x);
    const padding = paddingOf(node);
    const sources = input.dims.map((size, axis) => sourcesOf(padding, axis, size));
    const dims = sources.map((along) => along.length);
    const rows = sources
      .slice(0, -1)
      .reduce<number[]>(
        (outer, along, axis) =>
          outer.flatMap((row) => along.map((at) => (row < 0 || at < 0 ? -1 : row * nth(input.dims, axis) + at))),
        [0],
      );
    const along = sources.at(-1) ?? [0];
    const size = input.dims.at(-1) ?? 1;
    const data = new Float64Array(sizeOf(dims)).fill(value?.data[0] ?? 0);
    for (const [index, row] of rows.entries()) {
      if (row < 0) continue;
      const [to, from] = [index * along.length, row * size];
      for (let k = 0; k < along.length; k++) {
        const at = nth(along, k);
        if (at >= 0) data[to + k] = input.data[from + at] as number;
      }
    }
    return [{ dims, data }];
  },
  differentiate: (node, [dy], build, wanted) => differentiatePad(node, present(dy), build, wanted),
  batch: (node, [x, , value], batched, build) => {
    if (batched[2]) throw unsupported(node, "cannot be computed for a batch of values to pad with");
    const { before, after } = paddingOf(node);
    const input = batched[0] ? present(x) : build.unsqueeze(present(x), [0]);
    const amounts = build.ints([0, ...before, 0, ...after]);
    return [build.op("Pad", [input, amounts, ...(value ? [value] : [])], node.attributes)];
  },
  sampleAxis: (node, [at, , value]) => {
    if (value) throw unsupported(node, "pads with a value that differs from sample to sample");
    const { before, after } = paddingOf(node);
    const axes = before.flatMap((amount, axis) => (amount || after[axis] ? [axis] : []));
    return [apartFrom(node, at ?? null, axes, "pads the sample axis")];
  },
};
