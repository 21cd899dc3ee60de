/** Integers whose elements, or bounds on them, are known before the model runs. */

import { reshapes, uniform } from "../graph/behind.js";
import { factorOf, isBatch } from "../graph/dim.js";
import { constantOf, type Node, nodeOf, type Value } from "../graph/value.js";
import { present } from "../present.js";
import { elementsIn, isFloat } from "../tensor/tensor.js";
import { intAttribute, tensorAttribute } from "./checks.js";

/** Operators that return some of their first input's elements, and no others. */
const selecting: readonly string[] = [
  ...reshapes,
  "Identity",
  "Expand",
  "Tile",
  "Transpose",
  "Slice",
  "Split",
  "Gather",
];

/** The number that all elements equal; undefined if they differ, are unknown, or if there are none. */
export function alike(value: Value | null | undefined): number | undefined {
  if (!value) return undefined;
  const [first] = value.known ?? [];
  if (first !== undefined) return value.known?.every((dim) => dim === first) && !isBatch(first) ? first : undefined;
  const node = nodeOf(value);
  if (node?.domain !== "") return uniform(value);
  if (node.op === "ConstantOfShape") return Number(tensorAttribute(node, "value")?.data[0] ?? 0);
  if (selecting.includes(node.op)) return alike(node.inputs[0]);
  if (casts(node)) return castAlike(value, alike(node.inputs[0]));
  return combined(node, alike(node.inputs[0]), alike(node.inputs[1]));
}

const casts = ({ op }: Node): boolean => op === "Cast" || op === "CastLike";

function castAlike({ dtype }: Value, element: number | undefined): number | undefined {
  if (element === undefined || isFloat(dtype)) return element;
  return dtype === "bool" ? Number(element !== 0) : Math.trunc(element);
}

function combined(node: Node, a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return undefined;
  if (node.op === "Neg") return -a;
  if (b === undefined) return undefined;
  if (node.op === "Add") return a + b;
  if (node.op === "Sub") return a - b;
  if (node.op === "Mul") return a * b;
  return undefined;
}

/** The smallest and the largest value that an element may have. */
export type Bounds = readonly [number, number];

/** Null if nothing is known. */
export function boundsOf(value: Value): Bounds | null {
  const same = alike(value);
  if (same !== undefined) return [same, same];
  const constant = constantOf(value);
  if (constant) return boundsOfAll(Array.from(elementsIn(constant), Number));
  const node = nodeOf(value);
  return node && node.domain === "" ? boundsThrough(node, value) : null;
}

function boundsOfAll(elements: readonly number[]): Bounds | null {
  if (elements.length === 0) return null;
  return elements.reduce<Bounds>(
    ([low, high], element) => [Math.min(low, element), Math.max(high, element)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

function boundsThrough(node: Node, value: Value): Bounds | null {
  const [first, second] = node.inputs;
  if (node.op === "ArgMax" || node.op === "ArgMin") return belowSize(first, intAttribute(node, "axis", 0));
  if (node.op === "TopK") return node.outputs[1] === value ? belowSize(first, intAttribute(node, "axis", -1)) : null;
  const same = selecting.includes(node.op) || (casts(node) && !isFloat(value.dtype));
  const a = first ? boundsOf(first) : null;
  if (same) return a && !isFloat(first?.dtype ?? "float32") ? a : null;
  if (node.op === "Where")
    return union(second ? boundsOf(second) : null, node.inputs[2] ? boundsOf(node.inputs[2]) : null);
  if (node.op === "Concat") return node.inputs.map((part) => (part ? boundsOf(part) : null)).reduce(union);
  if (node.op === "Clip") return between(alike(second), alike(node.inputs[2]));
  const b = second ? boundsOf(second) : null;
  if (node.op === "Mod" && intAttribute(node, "fmod", 0) === 0 && b && b[0] > 0) return [0, b[1] - 1];
  if (!a || !b) return null;
  return combinedBounds(node.op, a, b);
}

function belowSize(value: Value | null | undefined, axis: number): Bounds | null {
  const size = value?.shape.at(axis);
  return size === undefined || isBatch(size) || size === 0 ? null : [0, factorOf(size) - 1];
}

function union(a: Bounds | null, b: Bounds | null): Bounds | null {
  return a && b ? [Math.min(a[0], b[0]), Math.max(a[1], b[1])] : null;
}

function between(low: number | undefined, high: number | undefined): Bounds | null {
  return low === undefined || high === undefined ? null : [Math.min(low, high), high];
}

function combinedBounds(op: string, a: Bounds, b: Bounds): Bounds | null {
  if (op === "Add") return [a[0] + b[0], a[1] + b[1]];
  if (op === "Sub") return [a[0] - b[1], a[1] - b[0]];
  if (op === "Mul") return boundsOfAll(a.flatMap((x) => b.map((y) => x * y)));
  if (op === "Div" && b[0] === b[1] && b[0] > 0) return [Math.trunc(a[0] / b[0]), Math.trunc(a[1] / b[0])];
  return null;
}

/** An index as a constant, plus multiples of integers that are only known when the model runs. */
interface Linear {
  readonly constant: number;
  /** The largest multiple, by absolute value; 0 if nothing varies. */
  readonly multiple: number;
}

/** How far an index may reach, by what is known about it. */
export function linearOf(value: Value): Linear {
  const same = alike(value);
  if (same !== undefined) return { constant: same, multiple: 0 };
  const node = nodeOf(value);
  const [first, second] = node?.inputs ?? [];
  if (node?.domain !== "" || !first) return { constant: 0, multiple: 1 };
  if (reshapes.includes(node.op) || ["Identity", "Expand"].includes(node.op) || casts(node)) return linearOf(first);
  if (node.op === "Concat") return node.inputs.map((part) => linearOf(present(part))).reduce(farther);
  const factor = node.op === "Neg" ? -1 : node.op === "Mul" ? (alike(second) ?? alike(first)) : undefined;
  if (factor !== undefined) {
    const { constant, multiple } = linearOf(second && alike(first) !== undefined ? second : first);
    return { constant: constant * factor, multiple: multiple * Math.abs(factor) };
  }
  if (!second || (node.op !== "Add" && node.op !== "Sub")) return { constant: 0, multiple: 1 };
  const [a, b] = [linearOf(first), linearOf(second)];
  const constant = node.op === "Add" ? a.constant + b.constant : a.constant - b.constant;
  return { constant, multiple: Math.max(a.multiple, b.multiple) };
}

function farther(a: Linear, b: Linear): Linear {
  const constant = Math.abs(a.constant) > Math.abs(b.constant) ? a.constant : b.constant;
  return { constant, multiple: Math.max(a.multiple, b.multiple) };
}
