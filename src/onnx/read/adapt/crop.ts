/**
 * A Resize that crops ("tf_crop_and_resize", which converters from TensorFlow write): its elements come from a box
 * between corners, and elements outside the input are all one number.
 */
import { type Dim, factorOf, isBatch } from "../../../graph/dim.js";
import { constantOf, type Value } from "../../../graph/value.js";
import { floatAttribute, intsAttribute, stringAttribute } from "../../../ops/checks.js";
import { build } from "../../../ops/registry.js";
import { elementsIn } from "../../../tensor/tensor.js";
import type { FileNode } from "../file-node.js";

/** One axis of the box. Its corners count from 0, the first element, to 1, the last. */
interface CroppedAxis {
  readonly axis: number;
  readonly size: number;
  readonly count: number;
  readonly from: number;
  readonly to: number;
}

const mode = (node: FileNode) => stringAttribute(node, "mode", "nearest");

/** Replaced by its parts; unchanged if these are unknown, to be refused later. */
export function withoutCrop(node: FileNode): FileNode {
  if (node.op !== "Resize" || node.domain !== "") return node;
  if (stringAttribute(node, "coordinate_transformation_mode", "half_pixel") !== "tf_crop_and_resize") return node;
  const [x] = node.inputs;
  const sides = x && mode(node) !== "cubic" ? sidesOf(node, x) : null;
  if (!x || !sides) return node;
  const taken = sides.reduce((value, side) => takenAlong(node, value, side), x);
  const outside = outsideOf(sides, x.shape.length);
  const plain = { ...node, attributes: {} };
  if (!outside) return { ...plain, op: "Identity", inputs: [taken] };
  const number = build.scalar(floatAttribute(node, "extrapolation_value", 0), taken);
  return { ...plain, op: "Where", inputs: [outside, number, taken] };
}

function sidesOf(node: FileNode, x: Value): CroppedAxis[] | null {
  const rank = x.shape.length;
  const axes = intsAttribute(node, "axes")?.map((axis) => (axis + rank) % rank) ?? [...x.shape.keys()];
  const [, roi, scales, sizes] = node.inputs;
  const [corners, factors] = [numbersOf(roi), numbersOf(scales)];
  const known = sizes?.known?.length ? sizes.known : null;
  if (corners?.length !== 2 * axes.length || stringAttribute(node, "keep_aspect_ratio_policy", "stretch") !== "stretch")
    return null;
  const sides = axes.map((axis, k) => {
    const [from, to] = [corners[k] ?? 0, corners[axes.length + k] ?? 1];
    return sideOf(axis, x.shape[axis] ?? 1, { from, to, target: known?.[k], scale: factors?.[k] });
  });
  const found = sides.flatMap((side) => (side === null ? [] : side));
  return sides.includes(null) ? null : found;
}

interface CropRequest {
  readonly from: number;
  readonly to: number;
  readonly target: Dim | undefined;
  readonly scale: number | undefined;
}

/** The side along an axis; undefined if the axis stays as it is, null if that is unknown or if samples would be cut. */
function sideOf(axis: number, dim: Dim, { from, to, target, scale }: CropRequest): CroppedAxis[] | null {
  const same = from === 0 && to === 1 && (target === undefined ? scale === 1 : factorOf(target) === factorOf(dim));
  if (same) return [];
  if (isBatch(dim) || dim < 1 || (target !== undefined && isBatch(target))) return null;
  // ONNX applies scales to the box, but its reference and ONNX Runtime apply them to the whole axis, as here.
  const count = target ?? Math.floor(Math.fround(dim * Math.fround(scale ?? 0)));
  return count >= 1 ? [{ axis, size: dim, count, from, to }] : null;
}

function numbersOf(value: Value | null | undefined): number[] | null {
  const tensor = value ? constantOf(value) : undefined;
  return tensor ? Array.from(elementsIn(tensor), Number) : null;
}

/**
 * The places of the output's elements, counted in elements of the input, in float32, which decides what is exactly at
 * the edge.
 */
function placesOf({ size, count, from, to }: CroppedAxis): number[] {
  const { fround } = Math;
  const last = size - 1;
  if (count === 1) return [fround(0.5 * fround(from + to) * last)];
  return Array.from({ length: count }, (_, k) =>
    fround(fround(from * last) + fround(fround(fround(k * fround(to - from)) * last) / (count - 1))),
  );
}

const isInside = (place: number, { size }: CroppedAxis) => place >= 0 && place <= size - 1;

const nearest: Readonly<Record<string, (place: number) => number>> = {
  round_prefer_floor: (place) => Math.ceil(place - 0.5),
  round_prefer_ceil: (place) => Math.floor(place + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Interpolated between its neighbours, or one of them. */
function takenAlong(node: FileNode, value: Value, side: CroppedAxis): Value {
  const { axis, size, count } = side;
  const within = placesOf(side).map((place) => Math.min(Math.max(place, 0), size - 1));
  const rows = (at: readonly number[]) => build.gather(value, build.ints(at, [count]), axis);
  if (mode(node) === "nearest") {
    const round = nearest[stringAttribute(node, "nearest_mode", "round_prefer_floor")] ?? Math.round;
    return rows(within.map(round));
  }
  const [lower, upper] = [within.map(Math.floor), within.map(Math.ceil)];
  const along = [count, ...value.shape.slice(axis + 1).map(() => 1)];
  const share = build.floats(
    within.map((place, k) => place - (lower[k] ?? 0)),
    along,
    value,
  );
  return build.add(rows(lower), build.mul(build.sub(rows(upper), rows(lower)), share));
}

/** Which elements of the output are outside the input, broadcastable; null if none is. */
function outsideOf(sides: readonly CroppedAxis[], rank: number): Value | null {
  const masks = sides.flatMap((side) => {
    const outside = placesOf(side).map((place) => (isInside(place, side) ? 0 : 1));
    const dims = Array.from({ length: rank }, (_, axis) => (axis === side.axis ? side.count : 1));
    return outside.includes(1) ? [build.constant({ dtype: "bool", dims, data: Uint8Array.from(outside) })] : [];
  });
  return masks.length === 0 ? null : masks.reduce((some, next) => build.op("Or", [some, next]));
}
