/** Bitwise operators on integers; none of them has a derivative. */

import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import { type DType, isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { requireInput, shapeMismatch, stringAttribute, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { binary, unary } from "../elementwise.js";

const bitsOf = (dtype: DType) => Number(/\d+$/.exec(dtype)?.[0] ?? 1);

/** The lowest bits of the integer, interpreted as the dtype. */
function wrapped(x: bigint, dtype: DType): number {
  return Number(dtype.startsWith("u") ? BigInt.asUintN(bitsOf(dtype), x) : BigInt.asIntN(bitsOf(dtype), x));
}

const dtypeOf = (node: { readonly outputs: readonly Value[] }): DType => nth(node.outputs, 0).dtype;

function onIntegers(definition: OpDefinition, check: (call: Call) => void = () => {}): OpDefinition {
  return {
    ...definition,
    infer: (call) => {
      const { dtype } = requireInput(call, 0);
      if (isFloat(dtype) || dtype === "bool") throw shapeMismatch(call, `works on integers, not on ${dtype}`);
      check(call);
      return definition.infer(call);
    },
  };
}

function connective(op: string, f: (x: bigint, y: bigint) => bigint): OpDefinition {
  return onIntegers(binary(op, (x, y, node) => wrapped(f(BigInt(x), BigInt(y)), dtypeOf(node)), "none"));
}

/**
 * Shifts by a number of bits. A shift by a negative number, or by at least the width, leaves only copies of the sign
 * bit.
 */
function shifted(x: bigint, y: number, left: boolean): bigint {
  const by = y < 0 || y > 64 ? 64n : BigInt(y);
  return left ? x << by : x >> by;
}

const shiftsLeft = (node: Call | Node) => stringAttribute(node, "direction", "") === "LEFT";

/** Shifts in 64 bits; narrower types are truncated afterwards. A negative number is shifted right as its complement. */
export function lowerShift(node: Node, build: Build): Value[] {
  const [x, y] = leadingOf(
    node.inputs.map((input) => build.cast(present(input), "int64")),
    2,
  );
  const number = (value: number) => build.ints([value], []);
  const outside = build.op("Or", [build.less(y, number(0)), build.greater(y, number(63))]);
  const by = build.cast(build.where(outside, number(63), y), "uint64");
  const shift = (value: Value) =>
    build.cast(build.op("BitShift", [build.cast(value, "uint64"), by], node.attributes), "int64");
  if (shiftsLeft(node)) return [build.cast(build.where(outside, number(0), shift(x)), dtypeOf(node))];
  const complement = (value: Value) => build.op("BitwiseNot", [value]);
  const negative = build.less(x, number(0));
  const result = shift(build.where(negative, complement(x), x));
  return [build.cast(build.where(negative, complement(result), result), dtypeOf(node))];
}

const bitShift: OpDefinition = {
  ...onIntegers(
    binary("BitShift", (x, y, node) => wrapped(shifted(BigInt(x), y, shiftsLeft(node)), dtypeOf(node)), "none"),
    (call) => {
      const direction = stringAttribute(call, "direction", "");
      if (direction !== "LEFT" && direction !== "RIGHT")
        throw unsupported(
          call,
          `has the direction "${direction}", which ONNX does not define`,
          'give "LEFT" or "RIGHT"',
        );
    },
  ),
  // Opset 28 introduced signed integers.
  lower: (node, build) => (dtypeOf(node).startsWith("uint") ? null : lowerShift(node, build)),
};

export const bitwise: readonly OpDefinition[] = [
  connective("BitwiseAnd", (x, y) => x & y),
  connective("BitwiseOr", (x, y) => x | y),
  connective("BitwiseXor", (x, y) => x ^ y),
  onIntegers(unary("BitwiseNot", (x, node) => wrapped(~BigInt(x), dtypeOf(node)), "none")),
  bitShift,
];
