/**
 * Weights that a file stores twice. Exporters that fold constants store a tied weight a second time, transposed or
 * reshaped: its elements equal the first one's, bit for bit, in another order of axes. Once tied again, both uses add
 * to one gradient.
 */

import type { TensorProto } from "onnx-buf";
import type { Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { nth } from "../../../present.js";
import { sizeOf, type Tensor } from "../../../tensor/tensor.js";
import { isRound } from "./configuration.js";

export interface Weight {
  readonly name: string;
  readonly inFile: string;
  /** Whether somebody chose the name, rather than a tool. */
  readonly chosen: boolean;
  readonly proto: TensorProto;
  readonly tensor: Tensor<"float32">;
}

/** How a weight is made from another one; axes of size 1 do not count in the permutation. */
export interface Tie {
  readonly of: Weight;
  readonly permutation: readonly number[];
}

interface Bucket {
  readonly weights: Weight[];
  /** By all elements, whatever their order; made for the second weight. */
  byElements: Map<number, Weight[]> | undefined;
}

export class Ties {
  readonly #buckets = new Map<string, Bucket>();
  /** Copies that look like fresh clones of a layer. */
  readonly clones: (readonly [string, string])[] = [];

  /** @param apart whether two weights certainly differ: a layer's weight and its bias */
  constructor(readonly apart: (a: Weight, b: Weight) => boolean) {}

  /** The weight that this one repeats; null for the first of its kind. */
  of(weight: Weight): Tie | null {
    const bucket = this.#bucketOf(weight);
    for (const other of candidates(bucket, weight)) {
      const permutation = permutationOf(other.tensor, weight.tensor);
      if (!permutation) continue;
      if (isSameStorage(other.proto, weight.proto)) return { of: other, permutation };
      if (!tells(weight.tensor) || this.apart(other, weight)) continue;
      if (!areClones(other, weight)) return { of: other, permutation };
      this.clones.push([other.name, weight.name]);
    }
    add(bucket, weight);
    return null;
  }

  #bucketOf({ tensor }: Weight): Bucket {
    const key = keyOf(tensor);
    const found = this.#buckets.get(key) ?? { weights: [], byElements: undefined };
    this.#buckets.set(key, found);
    return found;
  }
}

/** The weight `tie.of`, which has become `value`, in the shape of the weight that repeats it. */
export function tiedValue(build: Build, value: Value, { of, permutation }: Tie, { tensor }: Weight): Value {
  const plain = permutation.every((axis, k) => axis === k);
  if (plain && of.tensor.dims.join() === tensor.dims.join()) return build.op("Identity", [value]);
  const core = build.reshape(value, withoutOnes(of.tensor.dims));
  return build.reshape(build.transpose(core, permutation), tensor.dims);
}

/** `tensor`, which holds the elements of `tie.of`, in the order of the weight that repeats it. */
export function tiedTensor(
  tensor: Tensor<"float32">,
  { permutation }: Tie,
  dims: readonly number[],
): Tensor<"float32"> {
  const data = new Float32Array(tensor.data.length);
  walkPermuted(withoutOnes(tensor.dims), permutation, (to, from) => {
    data[to] = tensor.data[from] as number;
    return true;
  });
  return { dtype: "float32", dims, data };
}

function withoutOnes(dims: readonly number[]): number[] {
  return dims.filter((dim) => dim !== 1);
}

function bitsOf({ data }: Tensor<"float32">): Uint32Array {
  return new Uint32Array(data.buffer, data.byteOffset, data.length);
}

/** Elements on the diagonal keep their places under any permutation of the axes. */
const mostOnDiagonal = 8;

function keyOf(tensor: Tensor<"float32">): string {
  const dims = withoutOnes(tensor.dims);
  const bits = bitsOf(tensor);
  const step = dims.reduce((sum, _, axis) => sum + sizeOf(dims.slice(axis + 1)), 0);
  const count = Math.min(mostOnDiagonal, ...dims);
  const diagonal = Array.from({ length: bits.length === 0 ? 0 : count }, (_, k) => bits[k * step]);
  return `${[...dims].sort((a, b) => a - b).join()}:${diagonal.join()}`;
}

function candidates(bucket: Bucket, weight: Weight): readonly Weight[] {
  if (bucket.weights.length === 0) return [];
  if (!bucket.byElements) {
    bucket.byElements = new Map();
    for (const other of bucket.weights) addByElements(bucket.byElements, other);
  }
  return bucket.byElements.get(elementsOf(weight)) ?? [];
}

function add(bucket: Bucket, weight: Weight): void {
  bucket.weights.push(weight);
  if (bucket.byElements) addByElements(bucket.byElements, weight);
}

function addByElements(byElements: Map<number, Weight[]>, weight: Weight): void {
  const key = elementsOf(weight);
  byElements.set(key, [...(byElements.get(key) ?? []), weight]);
}

/** A sum of mixed bits: equal for equal elements in any order. */
function elementsOf({ tensor }: Weight): number {
  let sum = 0;
  for (const bits of bitsOf(tensor)) {
    const mixed = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b);
    sum = (sum + Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)) | 0;
  }
  return sum;
}

/** Weights with more axes can only be repeated unpermuted. */
const maxPermuted = 4;

function permutationOf(from: Tensor<"float32">, to: Tensor<"float32">): readonly number[] | null {
  const [dims, wanted] = [withoutOnes(from.dims), withoutOnes(to.dims)];
  const [source, target] = [bitsOf(from), bitsOf(to)];
  if (dims.length !== wanted.length || source.length !== target.length) return null;
  const all = dims.length > maxPermuted ? [dims.map((_, k) => k)] : permutations(dims.length);
  const fits = (permutation: readonly number[]) => permutation.every((axis, k) => dims[axis] === wanted[k]);
  const same = (permutation: readonly number[]) =>
    walkPermuted(dims, permutation, (at, origin) => target[at] === source[origin]);
  return all.find((permutation) => fits(permutation) && same(permutation)) ?? null;
}

/** The identity first. */
function permutations(count: number): number[][] {
  if (count === 0) return [[]];
  const axes = Array.from({ length: count }, (_, k) => k);
  return axes.flatMap((first) =>
    permutations(count - 1).map((rest) => [first, ...rest.map((axis) => (axis < first ? axis : axis + 1))]),
  );
}

/** Visits the elements of the permuted tensor in order, with their places in the original; stops at a false. */
function walkPermuted(
  dims: readonly number[],
  permutation: readonly number[],
  visit: (to: number, from: number) => boolean,
): boolean {
  const strides = permutation.map((axis) => sizeOf(dims.slice(axis + 1)));
  const sizes = permutation.map((axis) => nth(dims, axis));
  const counter = sizes.map(() => 0);
  const total = sizeOf(sizes);
  let from = 0;
  for (let to = 0; to < total; to++) {
    if (!visit(to, from)) return false;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += nth(strides, axis);
      counter[axis] = nth(counter, axis) + 1;
      if (counter[axis] !== sizes[axis]) break;
      from -= nth(strides, axis) * nth(sizes, axis);
      counter[axis] = 0;
    }
  }
  return true;
}

/** Whether both are in the same place of a file: a function's own constant at two calls, or a range of another file. */
function isSameStorage(a: TensorProto, b: TensorProto): boolean {
  return (a.rawData.length > 0 && a.rawData === b.rawData) || (a.floatData.length > 0 && a.floatData === b.floatData);
}

/** This many numbers that nobody wrote and no formula gave do not agree by chance. */
const maxNeeded = 4;
const mostSeen = 256;

/** Whether the numbers identify the weight: zeros, ones, whole numbers and even steps are common in fresh weights. */
function tells({ data }: Tensor<"float32">): boolean {
  const step = Math.max(1, Math.floor(data.length / mostSeen));
  const found = new Set<number>();
  for (let k = 0; k < data.length && found.size < maxNeeded; k += step) {
    const element = data[k] as number;
    if (!isRound(element, 4)) found.add(element);
  }
  return found.size === maxNeeded;
}

/** The same part of two layers in a stack: fresh ones may be copies of one, but are trained separately. */
function areClones(a: Weight, b: Weight): boolean {
  const shape = (name: string) => name.replace(/\d+/g, "#");
  return a.chosen && b.chosen && a.name !== b.name && shape(a.name) === shape(b.name);
}
