/** Constants that a file of fixed batch size holds instead of its samples' numbers: 0, 1, 2 for `arange(3)`. */

import { type Dim, factorOf, isBatch } from "../../../graph/dim.js";
import { constantOf, type Value } from "../../../graph/value.js";
import type { Call } from "../../../ops/call.js";
import { build, definitionOf } from "../../../ops/registry.js";
import { nth } from "../../../present.js";
import { elementsIn, isFloat } from "../../../tensor/tensor.js";
import { numbersTo } from "./numbers.js";

/**
 * The same for any number of samples, if along `axis` the integers of each of `size` samples are those of the sample
 * before plus a constant step, which may differ from place to place. Null if they are not, or for a single sample.
 */
export function withNumbers(value: Value, axis: number, size: number): Value | null {
  const constant = constantOf(value);
  const all = value.shape[axis];
  if (
    !constant ||
    isFloat(value.dtype) ||
    value.dtype === "bool" ||
    size < 2 ||
    isBatch(all) ||
    !all ||
    all % size !== 0
  )
    return null;
  const data = Array.from(elementsIn(constant), Number);
  const before = sizeBefore(value, axis);
  const count = data.length / before / size;
  // [before, size, count]
  const at = (outer: number, sample: number, k: number) => nth(data, (outer * size + sample) * count + k);
  const places = Array.from({ length: before * count }, (_, k) => [Math.floor(k / count), k % count] as const);
  const first = places.map(([outer, k]) => at(outer, 0, k));
  const steps = places.map(([outer, k], place) => at(outer, 1, k) - nth(first, place));
  const counts = places.every(([outer, k], place) =>
    Array.from({ length: size }, (_, sample) => sample).every(
      (sample) => at(outer, sample, k) === nth(first, place) + sample * nth(steps, place),
    ),
  );
  if (!counts || steps.every((step) => step === 0)) return null;
  const own = [...value.shape.slice(0, axis), 1, all / size, ...value.shape.slice(axis + 1)].map(factorOf);
  const numbers = build.reshape(
    numbersTo({ perSample: 1 }),
    own.map((_, k): Dim => (k === axis ? { perSample: 1 } : 1)),
  );
  const numbered = build.add(build.mul(numbers, build.ints(steps, own)), build.ints(first, own));
  const shape = value.shape.map((dim, k): Dim => (k === axis ? { perSample: all / size } : dim));
  return build.cast(build.reshape(numbered, shape), value.dtype);
}

function sizeBefore({ shape }: Value, axis: number): number {
  return shape.slice(0, axis).reduce<number>((product, dim) => product * factorOf(dim), 1);
}

/**
 * The indices of an operator that indexes its first input by its second, rewritten with the samples' numbers, if they
 * are a constant that counts the samples. In a file for one sample, the indices are repeated for each sample. Null if
 * neither applies.
 */
export function numberedIndices(call: Call, indices: Value, size: number): Value | null {
  const indexes = definitionOf(call)?.indexes;
  const axes = [...(indexes === "points" ? indices.shape.slice(0, -1) : indices.shape).keys()];
  if (size > 1) return axes.map((axis) => withNumbers(indices, axis, size)).find((found) => found !== null) ?? null;
  const given = call.attributes.axis;
  const axis = indexes === "elements" && typeof given === "number" ? (given + axes.length) % axes.length : 0;
  return axes.length === 0 ? null : onceForEach(indices, axis);
}

function onceForEach(indices: Value, axis: number): Value {
  const { shape } = indices;
  const dim = factorOf(nth(shape, axis));
  const [before, behind] = [shape.slice(0, axis), shape.slice(axis)];
  const each = build.expand(build.unsqueeze(indices, [axis]), [...before, { perSample: 1 }, ...behind]);
  return build.reshape(each, shape.with(axis, { perSample: dim }));
}
