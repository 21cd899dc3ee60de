/** Turns the cotangent that a rule states for a shared input into a factored per-sample gradient. */

import type { SampleAxes } from "../analysis/sample-axes.js";
import { PergradError } from "../errors.js";
import { convolutionFactor } from "../gradients/convolutions.js";
import { Dense } from "../gradients/dense.js";
import type { Factored } from "../gradients/factored.js";
import { Outer } from "../gradients/outer.js";
import { RowsGradient } from "../gradients/rows.js";
import { View } from "../gradients/view.js";
import { elementsOf, fixedSize, N } from "../graph/dim.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { sameSampleAxis } from "../ops/checks.js";
import type { Contraction, Cotangent, Reduction, RowsCotangent } from "../ops/cotangent.js";
import { isValue } from "../ops/cotangent.js";
import { arrange, contract, groupDim, letterDims, rolesOf } from "../ops/subgraphs/contract.js";
import { present } from "../present.js";

/** @param fades whether the cotangent comes through the steps of a loop */
export function factor(build: Build, node: Node, cotangent: Cotangent, axes: SampleAxes, fades: boolean): Factored {
  if (isValue(cotangent)) throw cannot(node);
  switch (cotangent.kind) {
    case "reduction":
      return factorReduction(build, node, cotangent, axes);
    case "contraction":
      return factorContraction(build, node, cotangent, axes, fades);
    case "convolution": {
      const [data, positions] = [axes.of(cotangent.data), axes.of(cotangent.cotangent)];
      if (data?.axis !== 0 || positions?.axis !== 0 || !sameSampleAxis(data, positions)) throw cannot(node);
      return convolutionFactor(build, cotangent, positions);
    }
    case "rows":
      return factorRows(build, node, cotangent, axes, fades);
  }
}

function cannot(node: Node): PergradError {
  return new PergradError(
    "UNSUPPORTED_OP",
    `${describeNode(node)} combines parameters with samples in a way for which pergrad has no per-sample gradient; ` +
      "leave out the parameters before it, or express it by other operators.",
  );
}

/**
 * The outer and inner factors that the samples are folded with, as axes before and after theirs: none for a plain
 * sample axis.
 */
function folds({ outer, inner }: SampleAxis): {
  readonly before: readonly number[];
  readonly behind: readonly number[];
} {
  return { before: outer === 1 ? [] : [outer], behind: inner === 1 ? [] : [inner] };
}

/** The value with its sample axis split into outer, N and inner. */
function split(build: Build, value: Value, at: SampleAxis): Value {
  const { before, behind } = folds(at);
  return build.reshape(value, [
    ...value.shape.slice(0, at.axis),
    ...before,
    N,
    ...behind,
    ...value.shape.slice(at.axis + 1),
  ]);
}

/** The value with its samples first: `[N, ...before, outer, inner, ...behind]`. */
function samplesFirst(build: Build, value: Value, at: SampleAxis): Value {
  return build.moveAxis(split(build, value, at), at.axis + folds(at).before.length, 0);
}

function factorReduction(
  build: Build,
  node: Node,
  { value, axes, shape }: Reduction,
  sampleAxes: SampleAxes,
): Factored {
  const at = sampleAxes.of(value);
  if (!at || !axes.includes(at.axis)) throw cannot(node);
  // After the samples, the axes keep their order; the outer and inner factors take the sample axis's place.
  const folded = folds(at).before.length + folds(at).behind.length;
  const summed = axes.flatMap((axis) => {
    if (axis === at.axis) return Array.from({ length: folded }, (_, k) => axis + 1 + k);
    return [axis < at.axis ? axis + 1 : axis + folded];
  });
  return new Dense(build.reshape(build.sum(samplesFirst(build, value, at), summed), [N, ...shape]));
}

/** One operand of a contraction, its sample subscript split into outer, sample and inner. */
interface Operand {
  readonly value: Value;
  readonly letters: string;
}

function splitOperand(build: Build, value: Value, letters: string, at: SampleAxis): Operand {
  const { before, behind } = folds(at);
  const own = `${before.length > 0 ? "<" : ""}#${behind.length > 0 ? ">" : ""}`;
  return { value: split(build, value, at), letters: letters.slice(0, at.axis) + own + letters.slice(at.axis + 1) };
}

/**
 * A sum over samples and positions of products becomes an outer product per sample. Letters that both operands have are
 * positions t (summed) or blocks (kept); the others are rows i and columns o.
 */
function factorContraction(
  build: Build,
  node: Node,
  { left, right, subscripts, shape }: Contraction,
  axes: SampleAxes,
  fades: boolean,
): Factored {
  const [leftAt, rightAt] = [axes.of(left), axes.of(right)];
  const [leftLetters, rightLetters, to] = subscripts;
  if (!rightAt || to.includes(rightLetters.charAt(rightAt.axis))) throw cannot(node);
  const b = splitOperand(build, right, rightLetters, rightAt);
  if (!leftAt) {
    const dense = contract(build, left, b.value, [leftLetters, b.letters, `#${to}`]);
    return new Dense(build.reshape(dense, [N, ...shape]));
  }
  if (leftLetters[leftAt.axis] !== rightLetters[rightAt.axis]) throw cannot(node);
  // If one operand is alike along the sample axis, the folding is taken from the other.
  const a = splitOperand(build, left, leftLetters, leftAt.uniform ? { ...rightAt, axis: leftAt.axis } : leftAt);
  const dims = new Map([...letterDims(a.letters, a.value.shape), ...letterDims(b.letters, b.value.shape)]);
  const roles = rolesOf([a.letters, b.letters, to]);
  const positions = roles.summed.replace("#", "");
  const group = (letters: string) => groupDim(letters, dims) as number;
  const blocks = roles.kept === "" ? [] : [group(roles.kept)];
  const gather = (operand: Operand, own: string) =>
    build.reshape(arrange(build, operand.value, operand.letters, `#${roles.kept}${positions}${own}`), [
      N,
      ...blocks,
      group(positions),
      group(own),
    ]);
  const order = roles.kept + roles.left + roles.right;
  const view = View.of([...blocks, group(roles.left), group(roles.right)])
    .andThen({ kind: "reshape", shape: [...order].map((letter) => present(dims.get(letter))) })
    .andThen({ kind: "transpose", permutation: [...to].map((letter) => order.indexOf(letter)) })
    .andThen({ kind: "reshape", shape });
  return new Outer(gather(a, roles.left), gather(b, roles.right), view, fades);
}

/** Rows of a table, selected by each sample's own indices. */
function factorRows(
  build: Build,
  node: Node,
  { indices, cotangent, axis, shape }: RowsCotangent,
  axes: SampleAxes,
  fades: boolean,
): Factored {
  const [at, value] = [axes.of(indices), axes.of(cotangent)];
  if (!at || !value) throw cannot(node);
  // If the indices are alike for all samples, the folding is taken from the cotangent.
  const own = samplesFirst(build, indices, at.uniform ? { ...value, axis: at.axis } : at);
  const count = elementsOf(own.shape.slice(1)) as number;
  const rows = fixedSize(shape, axis);
  const others = shape.filter((_, k) => k !== axis);
  const first = samplesFirst(build, cotangent, value);
  const size = elementsOf(others) as number;
  if (elementsOf(first.shape.slice(1)) !== count * size) throw cannot(node);
  // [N, ...before, T, ...behind]: the cotangent's axes for the indices become one, T, which then moves to the front.
  const flat = build.reshape(first, [N, ...others.slice(0, axis), count, ...others.slice(axis)]);
  const updates = build.reshape(build.moveAxis(flat, axis + 1, 1), [N, count, size]);
  const given = build.cast(build.reshape(own, [N, count]), "int64");
  const fromEnd = build.less(given, build.scalar(0, given));
  const places = build.where(fromEnd, build.add(given, build.scalar(rows, given)), given);
  const order = shape.map((_, k) => (k === axis ? 0 : k < axis ? k + 1 : k));
  const view = View.of([rows, size])
    .andThen({ kind: "reshape", shape: [rows, ...others] })
    .andThen({ kind: "transpose", permutation: order });
  return new RowsGradient(places, updates, view, fades);
}
