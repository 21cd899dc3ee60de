import { type Dim, elementsOf, type Shape } from "../../graph/dim.js";
import type { Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Build } from "../build.js";

/** The subscripts of a contraction of two tensors, sorted by the role of each letter. */
export interface Roles {
  /** In both operands and in the result. */
  readonly kept: string;
  /** In both operands, summed. */
  readonly summed: string;
  /** In the left operand and the result. */
  readonly left: string;
  /** In the right operand and the result. */
  readonly right: string;
  /** In the left operand only: summed first. */
  readonly leftOnly: string;
  readonly rightOnly: string;
}

export function rolesOf([left, right, to]: readonly [string, string, string]): Roles {
  const pick = (letters: string, test: (letter: string) => boolean) => [...letters].filter(test).join("");
  return {
    kept: pick(left, (c) => right.includes(c) && to.includes(c)),
    summed: pick(left, (c) => right.includes(c) && !to.includes(c)),
    left: pick(left, (c) => !right.includes(c) && to.includes(c)),
    right: pick(right, (c) => !left.includes(c) && to.includes(c)),
    leftOnly: pick(left, (c) => !right.includes(c) && !to.includes(c)),
    rightOnly: pick(right, (c) => !left.includes(c) && !to.includes(c)),
  };
}

/** The dimension that each letter of `subscripts` stands for. */
export function letterDims(subscripts: string, shape: Shape): Map<string, Dim> {
  return new Map([...subscripts].map((letter, axis) => [letter, nth(shape, axis)]));
}

/** The product of the dimensions of `letters`. N cannot occur twice in one tensor. */
export function groupDim(letters: string, dims: ReadonlyMap<string, Dim>): Dim {
  return elementsOf([...letters].map((letter) => present(dims.get(letter)))) ?? Number.NaN;
}

/** Sums `value` over the letters in `drop`, and orders the rest as `order` says (a permutation of them). */
export function arrange(build: Build, value: Value, subscripts: string, order: string): Value {
  const axes = [...subscripts].flatMap((letter, axis) => (order.includes(letter) ? [] : [axis]));
  const left = [...subscripts].filter((letter) => order.includes(letter));
  return build.transpose(
    build.sum(value, axes),
    [...order].map((letter) => left.indexOf(letter)),
  );
}

/**
 * An einsum of two tensors as one MatMul: `subscripts` are those of left, right and result. Letters occur
 * at most once per operand, and every letter of the result is in an operand.
 */
export function contract(
  build: Build,
  left: Value,
  right: Value,
  subscripts: readonly [string, string, string],
): Value {
  const [leftLetters, rightLetters, to] = subscripts;
  const roles = rolesOf(subscripts);
  // The operand whose letters come first in the result goes first, so that the product needs no transposition.
  if (roles.right !== "" && to.indexOf(roles.right.charAt(0)) < to.indexOf(roles.left[0] ?? to.at(-1) ?? "")) {
    return contract(build, right, left, [rightLetters, leftLetters, to]);
  }
  const dims = new Map([...letterDims(leftLetters, left.shape), ...letterDims(rightLetters, right.shape)]);
  const group = (letters: string) => groupDim(letters, dims);
  const a = arrange(build, left, leftLetters, roles.kept + roles.left + roles.summed);
  const b = arrange(build, right, rightLetters, roles.kept + roles.summed + roles.right);
  const order = roles.kept + roles.left + roles.right;
  const shape = [...order].map((letter) => present(dims.get(letter)));
  const batch = roles.kept === "" ? [] : [group(roles.kept)];
  const product =
    roles.summed === "" && roles.left === "" && roles.right === ""
      ? build.mul(a, b)
      : build.matmul(
          build.reshape(a, [...batch, group(roles.left), group(roles.summed)]),
          build.reshape(b, [...batch, group(roles.summed), group(roles.right)]),
        );
  return build.transpose(
    build.reshape(product, shape),
    [...to].map((letter) => order.indexOf(letter)),
  );
}
