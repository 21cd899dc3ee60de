/**
 * Finds integers that are a sample's own number in its batch, or a multiple of it plus something: `arange(N)`, a
 * running sum of ones, the places of elements that are all true, and arithmetic on them, such as the place n * T + t of
 * a position in a batch whose sequences follow one another.
 */

import { reshapes } from "../../../graph/behind.js";
import {
  type BatchMultiple,
  type Dim,
  elementsOf,
  factorOf,
  isBatch,
  multiply,
  type Shape,
} from "../../../graph/dim.js";
import { allInputsOf, inputOf } from "../../../graph/operands.js";
import { dimsValue, type Node, nodeOf, type Value } from "../../../graph/value.js";
import { alike, boundsOf } from "../../../ops/alike.js";
import { intAttribute, normalAxis } from "../../../ops/checks.js";
import { build } from "../../../ops/registry.js";
import { nth, present } from "../../../present.js";
import { isFloat } from "../../../tensor/tensor.js";
import { pickedBy } from "./pick.js";

/**
 * The layout of numbers from 0 to below `rows` in a tensor: axis `axis` holds outer * rows * inner elements, with each
 * number in blocks of inner.
 */
export interface Place {
  readonly rows: BatchMultiple;
  readonly axis: number;
  readonly outer: number;
  readonly inner: number;
}

/** A value that equals `factor` times the number of the row, plus `rest` (null: 0). */
export interface Numbered extends Place {
  readonly factor: number;
  /** In a shape that broadcasts to the value's. */
  readonly rest: Value | null;
}

/** 0, 1, ... up to below `count`. */
export function numbersTo(count: Dim): Value {
  return build.op("Range", [build.ints([0], []), dimsValue([count], true), build.ints([1], [])]);
}

/** What is known about each value, kept while a graph is read. */
export class Numbers {
  readonly #found = new Map<Value, Numbered | null>();

  /** Null if the value holds no such numbers, or none that are understood. */
  of(value: Value): Numbered | null {
    const before = this.#found.get(value);
    if (before !== undefined) return before;
    const found = value.shape.some(isBatch) ? this.#through(value) : null;
    this.#found.set(value, found);
    return found;
  }

  #through(value: Value): Numbered | null {
    const node = nodeOf(value);
    if (node?.domain !== "") return null;
    const picked = pickedBy(node, value);
    if (picked) return this.of(picked);
    const source = counted(node, value);
    if (source) return source;
    const [first, second] = node.inputs;
    if (!first) return null;
    if (reshapes.includes(node.op)) return reshaped(this.of(first), first.shape, value.shape);
    switch (node.op) {
      case "Identity":
        return this.of(first);
      case "Cast":
      case "CastLike":
        return cast(this.of(first), value);
      case "Expand":
        return broadcast(this.of(first), first.shape, value.shape);
      case "Transpose":
        return transposed(this.of(first), first.shape, node);
      case "Tile":
        return tiled(this.of(first), first.shape, node);
      case "Gather":
      case "Slice":
        return cut(this.of(first), first.shape, node, value.shape);
      case "Concat":
        return this.#joined(node, value.shape);
      case "Where":
        return this.#counted(node);
      case "Neg":
        return scaled(this.of(first), -1);
      case "Mul":
        return this.#product(first, present(second), value.shape);
      case "Add":
      case "Sub":
        return this.#sum(node.op, first, present(second), value.shape);
      case "Div":
      case "Mod":
        return isFloat(value.dtype) ? null : this.#quotient(node, first, alike(second), value.shape);
      default:
        return null;
    }
  }

  #product(a: Value, b: Value, shape: Shape): Numbered | null {
    const [left, right] = [alike(a), alike(b)];
    if (right !== undefined) return scaled(broadcast(this.of(a), a.shape, shape), right);
    return left === undefined ? null : scaled(broadcast(this.of(b), b.shape, shape), left);
  }

  /** Parts joined along another axis, all with the same multiple of the number. */
  #joined(node: Node, shape: Shape): Numbered | null {
    const parts = allInputsOf(node);
    const axis = normalAxis(node, intAttribute(node, "axis", 0), shape.length);
    const forms = parts.map((part) => this.of(part));
    const [form] = forms;
    const alikeAll = forms.every((other) => other && form && samePlace(other, form) && other.factor === form.factor);
    if (!form || form.axis === axis || !alikeAll) return null;
    if (forms.every((each) => each?.rest === null)) return { ...form, rest: null };
    const rests = forms.map((each, k) => {
      const part = nth(parts, k);
      return wholeRest(each?.rest ?? build.filled(0, [], part.dtype), part.shape);
    });
    return { ...form, rest: build.concat(rests, axis) };
  }

  #sum(op: "Add" | "Sub", a: Value, b: Value, shape: Shape): Numbered | null {
    const [left, right] = [broadcast(this.of(a), a.shape, shape), broadcast(this.of(b), b.shape, shape)];
    const sign = op === "Add" ? 1 : -1;
    if (left && right) {
      if (!samePlace(left, right)) return null;
      return { ...left, factor: left.factor + sign * right.factor, rest: combined(op, left.rest, right.rest) };
    }
    if (left) return { ...left, rest: combined(op, left.rest, b) };
    return right && { ...right, factor: sign * right.factor, rest: combined(op, a, right.rest) };
  }

  /** n * T + t, with t from 0 to below T: dividing by T gives n, the remainder is t. */
  #quotient(node: Node, of: Value, by: number | undefined, shape: Shape): Numbered | null {
    const form = broadcast(this.of(of), of.shape, shape);
    if (!form || by === undefined || by < 1 || intAttribute(node, "fmod", 0) !== 0) return null;
    const apart = coarser(form, shape, (factor) => factor % by === 0);
    if (!apart || (apart.rest && (boundsOf(apart.rest)?.[0] ?? -1) < 0)) return null;
    const divisor = () => build.scalar(by, of);
    if (node.op === "Div") {
      const rest = apart.rest && restOrNone(build.div(apart.rest, divisor()));
      return { ...apart, factor: apart.factor / by, rest };
    }
    return { ...apart, factor: 0, rest: apart.rest && build.op("Mod", [apart.rest, divisor()]) };
  }

  /**
   * Exporters count an index from the end by `where(i < 0, i + size, i)`; for a value that is never negative, this is
   * the value itself.
   */
  #counted({ inputs: [condition, yes, no] }: Node): Numbered | null {
    const test = condition ? nodeOf(condition) : undefined;
    const [tested, limit] = test?.inputs ?? [];
    if (!tested || alike(limit) !== 0) return null;
    const kept = test?.op === "Less" ? no : test?.op === "GreaterOrEqual" ? yes : null;
    const form = kept === tested ? this.of(tested) : null;
    if (!form || form.factor < 0) return null;
    return !form.rest || (boundsOf(form.rest)?.[0] ?? -1) >= 0 ? form : null;
  }
}

/** Nodes that produce such numbers. */
function counted(node: Node, value: Value): Numbered | null {
  if (node.op === "Range") {
    const [start, , step] = node.inputs.map((input) => alike(input));
    if (start === undefined || step === undefined) return null;
    const rest = start === 0 ? null : build.filled(start, [], value.dtype);
    return { ...alone(value.shape, 0), factor: step, rest };
  }
  const [x, along] = node.inputs;
  // For a vector. For more axes the result has a row of places for each, and one row is picked.
  if (node.op === "NonZero" && value.shape[0] === 1) return { ...alone(value.shape, 1), factor: 1, rest: null };
  if (node.op !== "CumSum") return null;
  const [step, given] = [alike(x), alike(along)];
  if (step === undefined || given === undefined || intAttribute(node, "reverse", 0) !== 0) return null;
  const axis = normalAxis(node, given, value.shape.length);
  if (!isBatch(value.shape[axis])) return null;
  const exclusive = intAttribute(node, "exclusive", 0) !== 0;
  return { ...alone(value.shape, axis), factor: step, rest: exclusive ? null : build.filled(step, [], value.dtype) };
}

function alone(shape: Shape, axis: number): Place {
  return { rows: { perSample: factorOf(nth(shape, axis)) }, axis, outer: 1, inner: 1 };
}

function cast(form: Numbered | null, { dtype }: Value): Numbered | null {
  if (dtype === "bool") return null;
  return form && { ...form, rest: form.rest && build.cast(form.rest, dtype) };
}

/** Aligned at the right, as operands are. */
function broadcast(form: Numbered | null, from: Shape, to: Shape): Numbered | null {
  return form && { ...form, axis: form.axis + to.length - from.length };
}

function scaled(form: Numbered | null, by: number): Numbered | null {
  if (!form) return null;
  const rest = form.rest && build.mul(form.rest, build.scalar(by, form.rest));
  return { ...form, factor: form.factor * by, rest };
}

function combined(op: "Add" | "Sub", a: Value | null, b: Value | null): Value | null {
  if (!b) return a;
  if (!a) return op === "Add" ? restOrNone(b) : restOrNone(build.neg(b));
  return restOrNone(build.op(op, [a, b]));
}

/** Null for a constant 0; a single number for a constant. */
function restOrNone(rest: Value): Value | null {
  const bounds = boundsOf(rest);
  if (!bounds || bounds[0] !== bounds[1]) return rest;
  return bounds[0] === 0 ? null : build.filled(bounds[0], [], rest.dtype);
}

function samePlace(a: Place, b: Place): boolean {
  return a.axis === b.axis && a.outer === b.outer && a.inner === b.inner && a.rows.perSample === b.rows.perSample;
}

/** The rest with all axes of the value, so that axes can be moved. */
export function wholeRest(rest: Value, shape: Shape): Value {
  return build.expand(rest, shape);
}

function onWhole(form: Numbered, shape: Shape, change: (rest: Value) => Value): Value | null {
  if (!form.rest || form.rest.shape.length === 0) return form.rest;
  return change(wholeRest(form.rest, shape));
}

function transposed(form: Numbered | null, from: Shape, node: Node): Numbered | null {
  const permutation = node.attributes.perm;
  const order = Array.isArray(permutation) ? permutation.map(Number) : from.map((_, axis) => from.length - 1 - axis);
  return (
    form && {
      ...form,
      axis: order.indexOf(form.axis),
      rest: onWhole(form, from, (rest) => build.transpose(rest, order)),
    }
  );
}

function tiled(form: Numbered | null, from: Shape, node: Node): Numbered | null {
  const repeats = node.inputs[1]?.known?.[form?.axis ?? 0];
  if (!form || repeats === undefined || isBatch(repeats)) return null;
  const rest = onWhole(form, from, (whole) => build.op("Tile", [whole, inputOf(node, 1)]));
  return { ...form, outer: form.outer * repeats, rest };
}

/** Some elements along other axes, the same for each sample. */
function cut(form: Numbered | null, from: Shape, node: Node, to: Shape): Numbered | null {
  const others = node.inputs.slice(1);
  const same = others.every((input) => !input?.shape.some(isBatch));
  const axis = to.findIndex(isBatch);
  if (!form || !same || factorOf(to[axis] ?? 0) !== factorOf(nth(from, form.axis))) return null;
  const along = intAttribute(node, "axis", 0);
  if (node.op === "Gather" && (along < 0 ? along + from.length : along) === form.axis) return null;
  return { ...form, axis, rest: onWhole(form, from, (rest) => build.op(node.op, [rest, ...others], node.attributes)) };
}

/** The number of consecutive elements, in row-major order, with the same number. */
function strideOf({ axis, inner }: Place, shape: Shape): number {
  return inner * factorOf(elementsOf(shape.slice(axis + 1)) ?? 0);
}

function reshaped(form: Numbered | null, from: Shape, to: Shape): Numbered | null {
  const axis = to.findIndex(isBatch);
  if (!form || axis < 0) return null;
  const behind = factorOf(elementsOf(to.slice(axis + 1)) ?? 0);
  const size = factorOf(nth(to, axis));
  const apart = coarser(form, from, (_, rows, stride) => {
    const inner = stride / behind;
    return Number.isInteger(inner) && Number.isInteger(size / (rows * inner));
  });
  if (!apart) return null;
  const inner = strideOf(apart, from) / behind;
  const outer = size / (apart.rows.perSample * inner);
  return { ...apart, axis, inner, outer, rest: onWhole(apart, from, (rest) => build.reshape(rest, to)) };
}

/**
 * The same value in terms of blocks of `count` rows, r = count * block + i, for the smallest count that works: a
 * position's number in the batch becomes a multiple of its sample's number, plus its place in the sample.
 */
function coarser(
  form: Numbered,
  shape: Shape,
  fits: (factor: number, rows: number, stride: number) => boolean,
): Numbered | null {
  const all = form.rows.perSample;
  const stride = strideOf(form, shape);
  if (stride === 0) return null;
  for (let count = 1; count <= all; count++) {
    if (all % count !== 0 || !fits(form.factor * count, all / count, stride * count)) continue;
    if (count === 1) return form;
    const within = build.scale(positions(count, stride, shape), form.factor);
    const rest = combined("Add", form.rest, form.rest ? build.cast(within, form.rest.dtype) : within);
    return { ...form, factor: form.factor * count, rows: { perSample: all / count }, inner: form.inner * count, rest };
  }
  return null;
}

/**
 * For each element of a tensor, the number of its block of `stride` elements, counting from 0 to below `count` again
 * and again.
 */
function positions(count: number, stride: number, shape: Shape): Value {
  const size = count * stride;
  const total = present(elementsOf(shape));
  const own = build.ints(
    Array.from({ length: size }, (_, element) => Math.floor(element / stride)),
    [1, size],
  );
  const times = multiply(total, 1) as BatchMultiple;
  return build.reshape(build.expand(own, [{ perSample: times.perSample / size }, size]), shape);
}
