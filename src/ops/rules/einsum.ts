/** Einsum with any number of operands. */

import type { Array64 } from "../../float64/array64.js";
import { array64, stridesOf, sum64, walk, zeros64 } from "../../float64/array64.js";
import { type Dim, factorOf, isBatch, sameDim } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Build } from "../build.js";
import { agree, interaction, requireInput, shapeMismatch } from "../checks.js";
import type { Contraction } from "../cotangent.js";
import type { OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { contract, letterDims } from "../subgraphs/contract.js";
import { type Equation, equationOf } from "../subgraphs/equation.js";

function einsum64(arrays: readonly Array64[], { operands, result }: Equation): Array64 {
  const sizes = new Map(
    operands.flatMap((letters, k) => [...letters].map((c, axis) => [c, present(arrays[k]?.dims[axis])])),
  );
  const summed = [...new Set(operands.join(""))].filter((letter) => !result.includes(letter));
  const order = [...result, ...summed];
  const dims = order.map((letter) => present(sizes.get(letter)));
  let product: Array64 = array64(dims, zeros64(dims).data.fill(1));
  operands.forEach((letters, k) => {
    const array = nth(arrays, k);
    const strides = stridesOf(array.dims);
    const along = order.map((letter) =>
      [...letters].reduce((sum, c, axis) => sum + (c === letter ? nth(strides, axis) : 0), 0),
    );
    const next = product.data;
    walk(dims, along, (position, offset) => {
      next[position] = (next[position] as number) * (array.data[offset] as number);
    });
    product = array64(dims, next);
  });
  return sum64(
    product,
    summed.map((_, k) => result.length + k),
    false,
  );
}

/** Multiplies `values` two at a time, keeping the letters in `keep`. */
function combine(
  build: Build,
  values: readonly Value[],
  letters: readonly string[],
  keep: string,
): { value: Value; letters: string } {
  let [value, own] = [nth(values, 0), nth(letters, 0)];
  for (let k = 1; k < values.length; k++) {
    const next = nth(letters, k);
    const later = letters.slice(k + 1).join("") + keep;
    const to = [...new Set(own + next)].filter((letter) => later.includes(letter)).join("");
    value = contract(build, value, nth(values, k), [own, next, to]);
    own = to;
  }
  return { value, letters: own };
}

/**
 * Subscripts in which each letter occurs once, with identity matrices that tie the letters that were repeated: "hh"
 * becomes "hH" times "Hh".
 */
function withoutRepeats(letters: string, shape: readonly Dim[], used: string, like: Value, build: Build) {
  const free = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"].filter((c) => !used.includes(c));
  const ties: { readonly value: Value; readonly letters: string }[] = [];
  const own = [...letters].map((letter, axis) => {
    if (letters.indexOf(letter) === axis) return letter;
    const fresh = free.shift() ?? "";
    const size = factorOf(nth(shape, axis));
    requireConstant(`An Einsum that repeats "${letter}"`, size * size, "an identity matrix");
    const identity = Float64Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));
    ties.push({ value: build.floats(identity, [size, size], like), letters: letter + fresh });
    return fresh;
  });
  return { own: own.join(""), ties };
}

/** The cotangent of operand k: an einsum of the other operands and dy. */
function operandCotangent(node: Node, equation: Equation, k: number, dy: Value, build: Build): Contraction {
  const input = inputOf(node, k);
  const used = equation.operands.join("") + equation.result;
  const { own, ties } = withoutRepeats(nth(equation.operands, k), input.shape, used, dy, build);
  const others = node.inputs.flatMap((value, i) => {
    if (i === k) return [];
    const letters = nth(equation.operands, i);
    if (new Set(letters).size === letters.length) return [{ value: present(value), letters }];
    const single = [...new Set(letters)].join("");
    return [{ value: build.op("Einsum", [present(value)], { equation: `${letters}->${single}` }), letters: single }];
  });
  const parts = [...others, ...ties];
  const start =
    parts.length > 0
      ? combine(
          build,
          parts.map(({ value }) => value),
          parts.map(({ letters }) => letters),
          own + equation.result,
        )
      : { value: build.scalar(1, dy), letters: "" };
  // An axis whose subscript occurs in this operand alone was summed, so the cotangent is constant along it.
  const alone = [...own].filter((letter) => !start.letters.includes(letter) && !equation.result.includes(letter));
  const dims = letterDims(own, input.shape);
  const extended = build.expand(
    build.unsqueeze(
      start.value,
      alone.map((_, i) => start.value.shape.length + i),
    ),
    [...start.value.shape, ...alone.map((letter) => present(dims.get(letter)))],
  );
  return {
    kind: "contraction",
    left: extended,
    right: dy,
    subscripts: [start.letters + alone.join(""), equation.result, own],
    shape: input.shape,
  };
}

const definition: OpDefinition = {
  op: "Einsum",
  layer: { kind: "product", names: [] },
  infer: (call) => {
    for (const index of call.inputs.keys()) requireInput(call, index);
    const equation = equationOf(call);
    const dims = new Map<string, Dim>();
    equation.operands.forEach((letters, k) => {
      [...letters].forEach((letter, axis) => {
        const dim = nth(inputOf(call, k).shape, axis);
        const known = dims.get(letter);
        if (known !== undefined && !sameDim(known, dim))
          throw shapeMismatch(call, `has inputs that differ in the size of the subscript "${letter}"`);
        dims.set(letter, dim);
      });
    });
    const shape = [...equation.result].map((letter) => {
      const dim = dims.get(letter);
      if (dim === undefined) throw shapeMismatch(call, `has a subscript "${letter}" in its result that is in no input`);
      return dim;
    });
    return [{ dtype: requireInput(call, 0).dtype, shape }];
  },
  evaluate: (inputs, node) => [
    einsum64(
      inputs.map((input) => present(input)),
      equationOf(node),
    ),
  ],
  differentiate: (node, [dy], build, wanted) => {
    const equation = equationOf(node);
    return node.inputs.map((_, k) => (wanted[k] ? operandCotangent(node, equation, k, present(dy), build) : null));
  },
  batch: (node, inputs, batched, build) => {
    const equation = equationOf(node);
    const letter = present(
      [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"].find((c) => !equation.operands.join("").includes(c)),
    );
    const operands = equation.operands.map((letters, k) => (batched[k] ? letter + letters : letters));
    return [build.op("Einsum", inputs, { equation: `${operands.join(",")}->${letter}${equation.result}` })];
  },
  sampleAxis: (node, axes) => {
    const equation = equationOf(node);
    const places = axes.map((at, k) => {
      if (!at) return null;
      const axis = equation.result.indexOf(nth(equation.operands, k)[at.axis] as string);
      if (axis < 0) throw interaction(node, "sums over the sample axis");
      return { ...at, axis };
    });
    const result = agree(node, places);
    const letter = result && equation.result[result.axis];
    equation.operands.forEach((letters, k) => {
      const twice = letter && letters.indexOf(letter) !== letters.lastIndexOf(letter);
      if (twice && inputOf(node, k).shape.some(isBatch))
        throw interaction(node, "takes the diagonal of the sample axis");
    });
    return [result];
  },
};

export const einsum: readonly OpDefinition[] = [definition];
