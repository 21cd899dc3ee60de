/**
 * Takes what a rule states for one step of a Scan, and states it for all steps: either summed over the steps, or for
 * each of them.
 */

import { type Dim, fixedSize, multiply, type Shape } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import { kernelSize } from "../../graph/window.js";
import { leadingOf, present } from "../../present.js";
import type { Build } from "../build.js";
import { type Contraction, type Convolution, type Cotangent, isValue, type RowsCotangent } from "../cotangent.js";
import { unfold } from "../subgraphs/unfold.js";

/** The operands of a cotangent, in all steps. */
export interface Steps {
  readonly steps: number;
  /** The values that differ between steps, stacked. */
  readonly stacks: ReadonlyMap<Value, Value>;
  /** The value outside the loop of one that is the same in all steps. */
  readonly outside: (value: Value) => Value;
}

/** The sum over all steps of the cotangent that a rule states for one. */
export function overSteps(build: Build, cotangent: Cotangent, all: Steps): Cotangent {
  const { steps, stacks, outside } = all;
  const stackOf = (value: Value) => stacks.get(value) ?? null;
  if (isValue(cotangent)) {
    const value = stackOf(cotangent);
    if (!value) return build.mul(outside(cotangent), build.scalar(steps, cotangent));
    return { kind: "reduction", value, axes: [0], shape: cotangent.shape };
  }
  switch (cotangent.kind) {
    case "reduction": {
      const value = stackOf(cotangent.value) ?? repeated(build, cotangent.value, all);
      return { ...cotangent, value, axes: [0, ...cotangent.axes.map((axis) => axis + 1)] };
    }
    case "contraction":
      return contractionOverSteps(build, cotangent, all);
    case "rows": {
      const indices = stackOf(cotangent.indices);
      const rows = stackOf(cotangent.cotangent) ?? repeated(build, cotangent.cotangent, all);
      // All steps use the same rows of the table, so the cotangents of those rows are added up first.
      if (!indices) return { ...cotangent, indices: outside(cotangent.indices), cotangent: build.sum(rows, [0]) };
      return { ...cotangent, indices, cotangent: build.moveAxis(rows, 0, cotangent.axis) };
    }
    case "convolution":
      return convolutionOverSteps(build, cotangent, all);
  }
}

/** A value that is the same in all steps, repeated once for each. */
function repeated(build: Build, value: Value, { steps, outside }: Steps): Value {
  return build.expand(outside(value), [steps, ...value.shape]);
}

/**
 * A rule's cotangent for a slice that all samples share, stated for all slices. Time is the first axis of the result.
 */
export function ofEachStep(build: Build, cotangent: Cotangent, all: Steps): Cotangent {
  const stacked = (value: Value) => all.stacks.get(value) ?? repeated(build, value, all);
  if (isValue(cotangent)) return stacked(cotangent);
  const shape = [all.steps, ...cotangent.shape];
  switch (cotangent.kind) {
    case "reduction": {
      const axes = cotangent.axes.map((axis) => axis + 1);
      return { kind: "reduction", value: stacked(cotangent.value), axes, shape };
    }
    case "contraction": {
      const { left, right, subscripts } = cotangent;
      const time = unusedLetter(subscripts);
      const timed: Contraction["subscripts"] = [time + subscripts[0], time + subscripts[1], time + subscripts[2]];
      return { kind: "contraction", left: stacked(left), right: stacked(right), subscripts: timed, shape };
    }
    case "rows":
      return rowsOfEachStep(build, cotangent, stacked);
    case "convolution":
      return convolutionOfEachStep(build, cotangent, stacked);
  }
}

const letters = [..."tTabcdefghijklmnopqrsuvwxyzABCDEFGHIJKLMNOPQRSUVWXYZ"];

/** Each step has a table of its own. A matrix of zeros and ones says which row of the table belongs to which index. */
function rowsOfEachStep(
  build: Build,
  { indices, cotangent, axis, shape }: RowsCotangent,
  stacked: (value: Value) => Value,
): Contraction {
  const places = build.unsqueeze(build.cast(stacked(indices), "int64"), [-1]);
  const size = fixedSize(shape, axis);
  const own = build.ints([...Array(size).keys()]);
  const fromEnd = build.less(places, build.scalar(0, places));
  const counted = build.where(fromEnd, build.add(places, build.scalar(size, places)), places);
  const picked = build.cast(build.equal(counted, own), cotangent.dtype);
  const [time, row, ...others] = letters as [string, string, ...string[]];
  const ofIndices = others.splice(0, indices.shape.length).join("");
  const [before, behind] = [others.slice(0, axis), others.slice(axis, shape.length - 1)].map((all) => all.join(""));
  return {
    kind: "contraction",
    left: picked,
    right: stacked(cotangent),
    subscripts: [time + ofIndices + row, time + before + ofIndices + behind, time + before + row + behind],
    shape: [fixedSize(picked.shape, 0), ...shape],
  };
}

/** Each step has a kernel of its own, and its images are laid out as patches under that kernel. */
function convolutionOfEachStep(
  build: Build,
  { data, cotangent, groups, window, shape }: Convolution,
  stacked: (value: Value) => Value,
): Contraction {
  const [images, given] = [stacked(data), stacked(cotangent)];
  const [steps, samples] = leadingOf(images.shape, 2);
  const { byPosition, order } = unfold(build, folded(build, images), window, groups);
  const [channels, offsets] = [fixedSize(shape, 1), kernelSize(window)];
  const patch: Shape = order === "ik" ? [channels, offsets] : [offsets, channels];
  const positions = fixedSize(byPosition.shape, 2);
  return {
    kind: "contraction",
    left: build.reshape(byPosition, [steps, samples, groups, positions, ...patch]),
    right: build.reshape(given, [steps, samples, groups, fixedSize(shape, 0) / groups, positions]),
    subscripts: [`tngp${order}`, "tngop", "tgoik"],
    shape: [steps, ...shape],
  };
}

function unusedLetter(subscripts: Contraction["subscripts"]): string {
  const used = subscripts.join("");
  return letters.find((letter) => !used.includes(letter)) ?? "t";
}

/** Both operands in all steps. An operand that is the same in each step is null, unless the other one is too. */
function stacksOf(build: Build, left: Value, right: Value, all: Steps): readonly [Value | null, Value | null] {
  const [first, second] = [all.stacks.get(left) ?? null, all.stacks.get(right) ?? null];
  return [first, first || second ? second : repeated(build, right, all)];
}

/** An operand that is the same in each step is used once, together with the sum of the other operand. */
function summed(build: Build, stack: Value | null, value: Value, { outside }: Steps): Value {
  return stack ? build.sum(stack, [0]) : outside(value);
}

/** Images are treated alike in all steps, so time is folded into the sample axis. */
function convolutionOverSteps(build: Build, convolution: Convolution, all: Steps): Convolution {
  const { data, cotangent } = convolution;
  const [images, given] = stacksOf(build, data, cotangent, all);
  if (images && given) return { ...convolution, data: folded(build, images), cotangent: folded(build, given) };
  return {
    ...convolution,
    data: summed(build, images, data, all),
    cotangent: summed(build, given, cotangent, all),
  };
}

/** `[T, N, ...]` as `[T*N, ...]`. */
function folded(build: Build, stack: Value): Value {
  const [steps, images, ...rest] = stack.shape as [number, Dim, ...Dim[]];
  return build.reshape(stack, [present(multiply(images, steps)), ...rest]);
}

/** Time is treated as a further position: a letter that both operands have and the result lacks. */
function contractionOverSteps(build: Build, contraction: Contraction, all: Steps): Contraction {
  const { left, right, subscripts } = contraction;
  const time = unusedLetter(subscripts);
  const [first, second] = stacksOf(build, left, right, all);
  if (first && second) {
    const timed: Contraction["subscripts"] = [time + subscripts[0], time + subscripts[1], subscripts[2]];
    return { ...contraction, left: first, right: second, subscripts: timed };
  }
  return { ...contraction, left: summed(build, first, left, all), right: summed(build, second, right, all) };
}
