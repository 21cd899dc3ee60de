/** MatMul and Gemm: products whose weight gradients remain factored. (Einsum has a file of its own.) */

import type { Array64 } from "../../float64/array64.js";
import { array64, transpose64, zeros64, zip64 } from "../../float64/array64.js";
import { addProduct64 } from "../../float64/product64.js";
import { type Dim, type Shape, sameDim, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  agree,
  broadcastShape,
  floatAttribute,
  intAttribute,
  interaction,
  part,
  requireInput,
  shapeMismatch,
} from "../checks.js";
import type { Contraction } from "../cotangent.js";
import type { OpDefinition } from "../definition.js";
import { letterDims } from "../subgraphs/contract.js";
import { productSteps } from "../subgraphs/steps.js";

// MatMul

/** [B..., M, K] x [B..., K, P]. */
function matmul64(a: Array64, b: Array64): Array64 {
  const left = a.dims.length === 1 ? array64([1, ...a.dims], a.data) : a;
  const right = b.dims.length === 1 ? array64([...b.dims, 1], b.data) : b;
  const [rows, inner] = leadingOf(left.dims.slice(-2), 2);
  const columns = nth(right.dims, right.dims.length - 1);
  const offsets = (array: Array64, other: Array64) => {
    const batch = array64(array.dims.slice(0, -2), indices(array.dims.slice(0, -2)));
    const beside = array64(other.dims.slice(0, -2), indices(other.dims.slice(0, -2)));
    return zip64(batch, beside, (own) => own);
  };
  const lefts = offsets(left, right);
  const rights = offsets(right, left);
  const result = zeros64([...lefts.dims, rows, columns]);
  lefts.data.forEach((leftBatch, batch) => {
    const l = leftBatch * rows * inner;
    const r = (rights.data[batch] as number) * inner * columns;
    const o = batch * rows * columns;
    addProduct64(
      { data: result.data, at: o, stride: columns },
      { data: left.data, at: l, stride: inner },
      { data: right.data, at: r, stride: columns },
      [rows, inner, columns],
    );
  });
  const dims = [...lefts.dims, ...(a.dims.length === 1 ? [] : [rows]), ...(b.dims.length === 1 ? [] : [columns])];
  return array64(dims, result.data);
}

function indices(dims: readonly number[]): Float64Array {
  return zeros64(dims).data.map((_, i) => i);
}

/**
 * Subscripts for both operands and the result. Unless `all` is set, an operand's broadcast axes (of size 1) get no
 * letter.
 */
function matmulLetters(a: Value, b: Value, all = false): { a: string; b: string; y: string } {
  const batchRank = Math.max(a.shape.length, b.shape.length, 2) - 2;
  const batch = [..."ABCDEFGHIJKLMNOPQRST"].slice(0, batchRank);
  const own = (value: Value) => {
    const rank = Math.max(value.shape.length - 2, 0);
    return batch.slice(batchRank - rank).filter((_, axis) => all || value.shape[axis] !== 1);
  };
  const rows = a.shape.length === 1 ? "" : "m";
  const columns = b.shape.length === 1 ? "" : "p";
  const [left, right] = [own(a), own(b)];
  const shared = batch.filter((letter) => left.includes(letter) || right.includes(letter));
  return { a: `${left.join("")}${rows}k`, b: `${right.join("")}k${columns}`, y: `${shared.join("")}${rows}${columns}` };
}

/** The value without those of its first `batchRank` axes that have size 1. */
function dropBroadcast(build: Build, value: Value, batchRank: number): Value {
  return build.reshape(
    value,
    value.shape.filter((dim, axis) => axis >= batchRank || dim !== 1),
  );
}

/** The shape of the matrix product of the first two inputs. Throws SHAPE_MISMATCH. */
export function productShape(call: Call): Shape {
  const [a, b] = [requireInput(call, 0), requireInput(call, 1)];
  const inner = a.shape[a.shape.length - 1];
  const other = b.shape[Math.max(b.shape.length - 2, 0)];
  if (inner === undefined || other === undefined || !sameDim(inner, other)) {
    throw shapeMismatch(call, `has inputs ${showShape(a.shape)} and ${showShape(b.shape)}, which do not multiply`);
  }
  const batch = broadcastShape(call, [a.shape.slice(0, -2), b.shape.slice(0, -2)]);
  const rows = a.shape.length === 1 ? [] : [nth(a.shape, a.shape.length - 2)];
  const columns = b.shape.length === 1 ? [] : [nth(b.shape, b.shape.length - 1)];
  return [...batch, ...rows, ...columns];
}

const matmul: OpDefinition = {
  op: "MatMul",
  layer: { kind: "product", names: ["weight", "weight"] },
  linear: productSteps,
  infer: (call) => [{ dtype: requireInput(call, 0).dtype, shape: productShape(call) }],
  evaluate: ([a, b]) => [matmul64(present(a), present(b))],
  differentiate: (node, [dy], build) => {
    const [a, b] = inputsOf(node, 2);
    const letters = matmulLetters(a, b);
    const cotangent = dropBroadcast(build, present(dy), Math.max(a.shape.length, b.shape.length, 2) - 2);
    const left = dropBroadcast(build, a, a.shape.length - 2);
    const right = dropBroadcast(build, b, b.shape.length - 2);
    const rule = (other: Value, otherLetters: string, to: string, input: Value): Contraction => ({
      kind: "contraction",
      left: other,
      right: cotangent,
      subscripts: [otherLetters, letters.y, to],
      shape: input.shape,
    });
    return [rule(right, letters.b, letters.a, a), rule(left, letters.a, letters.b, b)];
  },
  batch: (node, inputs, batched, build) => {
    // Vectors become matrices first, so that the new leading axis is not mistaken for a matrix axis.
    const [a, b] = inputsOf(node, 2);
    const vectorA = a.shape.length === 1;
    const vectorB = b.shape.length === 1;
    const asMatrix = (value: Value, k: number) => {
      const rank = value.shape.length;
      if (k === 0 && vectorA) return build.unsqueeze(value, [rank - 1]);
      return k === 1 && vectorB ? build.unsqueeze(value, [rank]) : value;
    };
    const matrices = inputs.map((value, k) => asMatrix(present(value), k));
    const rank = Math.max(...matrices.map((value, k) => value.shape.length - (batched[k] ? 1 : 0)));
    const [left, right] = leadingOf(
      matrices.map((value, k) => {
        if (!batched[k]) return value;
        const [batch, ...rest] = value.shape;
        return build.reshape(value, [present(batch), ...Array<Dim>(rank - rest.length).fill(1), ...rest]);
      }),
      2,
    );
    const product = build.matmul(left, right);
    const last = product.shape.length;
    return [build.squeeze(product, [...(vectorA ? [last - 2] : []), ...(vectorB ? [last - 1] : [])])];
  },
  sampleAxis: (node, axes) => {
    const letters = matmulLetters(inputOf(node, 0), inputOf(node, 1), true);
    const place = (at: SampleAxis | null | undefined, own: string): SampleAxis | null => {
      if (!at) return null;
      const letter = own.charAt(at.axis);
      if (letter === "k") throw interaction(node, "sums over the sample axis");
      return { ...at, axis: letters.y.indexOf(letter) };
    };
    return [agree(node, [place(axes[0], letters.a), place(axes[1], letters.b)])];
  },
};

// Gemm: alpha * A' * B' + beta * C

interface GemmParts {
  readonly alpha: number;
  readonly beta: number;
  readonly a: string;
  readonly b: string;
}

function gemmParts(node: Call | Node): GemmParts {
  return {
    alpha: floatAttribute(node, "alpha", 1),
    beta: floatAttribute(node, "beta", 1),
    a: intAttribute(node, "transA", 0) ? "km" : "mk",
    b: intAttribute(node, "transB", 0) ? "pk" : "kp",
  };
}

const gemm: OpDefinition = {
  op: "Gemm",
  layer: { kind: "linear", names: [undefined, "weight", "bias"], optionalBias: 2 },
  infer: (call) => {
    const [a, b] = [requireInput(call, 0), requireInput(call, 1)];
    const parts = gemmParts(call);
    if (a.shape.length !== 2 || b.shape.length !== 2) throw shapeMismatch(part(call, "the inputs"), "are not matrices");
    const left = letterDims(parts.a, a.shape);
    const right = letterDims(parts.b, b.shape);
    if (!sameDim(present(left.get("k")), present(right.get("k")))) {
      throw shapeMismatch(call, `has inputs ${showShape(a.shape)} and ${showShape(b.shape)}, which do not multiply`);
    }
    const shape = [present(left.get("m")), present(right.get("p"))];
    const bias = call.inputs[2];
    if (bias && broadcastShape(call, [shape, bias.shape]).length > 2)
      throw shapeMismatch(part(call, "the bias"), "has too many axes");
    return [{ dtype: a.dtype, shape }];
  },
  evaluate: ([a, b, c], node) => {
    const parts = gemmParts(node);
    const left = parts.a === "km" ? transpose64(present(a), [1, 0]) : present(a);
    const right = parts.b === "pk" ? transpose64(present(b), [1, 0]) : present(b);
    const product = matmul64(left, right);
    return [zip64(product, c ?? array64([], [0]), (x, bias) => parts.alpha * x + parts.beta * bias)];
  },
  differentiate: (node, [dy], build, wanted) => {
    const [a, b, c] = inputsOf(node, 2);
    const parts = gemmParts(node);
    const scaled = wanted[0] || wanted[1] ? build.scale(present(dy), parts.alpha) : present(dy);
    return [
      { kind: "contraction", left: b, right: scaled, subscripts: [parts.b, "mp", parts.a], shape: a.shape },
      { kind: "contraction", left: a, right: scaled, subscripts: [parts.a, "mp", parts.b], shape: b.shape },
      ...(c ? [build.unbroadcast(build.scale(present(dy), parts.beta), c.shape)] : []),
    ];
  },
  batch: (node, inputs, batched, build) => {
    const parts = gemmParts(node);
    const [a, b, c] = leadingOf(inputs, 2);
    const turn = (value: Value, transposed: boolean) => (transposed ? build.transposeLast(value) : value);
    const product = build.scale(build.matmul(turn(a, parts.a === "km"), turn(b, parts.b === "pk")), parts.alpha);
    if (!c) return [product];
    const [batch, ...rest] = c.shape;
    const bias = batched[2] ? build.reshape(c, [present(batch), ...Array<Dim>(2 - rest.length).fill(1), ...rest]) : c;
    return [build.add(product, build.scale(bias, parts.beta))];
  },
  sampleAxis: (node, axes) => {
    const parts = gemmParts(node);
    const at = (axis: SampleAxis | null | undefined, letters: string): SampleAxis | null => {
      if (!axis) return null;
      if (letters[axis.axis] === "k") throw interaction(node, "sums over the sample axis");
      return { ...axis, axis: "mp".indexOf(letters.charAt(axis.axis)) };
    };
    const bias = axes[2] ? { ...axes[2], axis: axes[2].axis + 2 - inputOf(node, 2).shape.length } : null;
    return [agree(node, [at(axes[0], parts.a), at(axes[1], parts.b), bias])];
  },
};

export const linear: readonly OpDefinition[] = [matmul, gemm];
