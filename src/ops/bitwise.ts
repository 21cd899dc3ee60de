/** Integers bit by bit: nothing here has a derivative. */
import type { Value } from "../graph/value.js";
import { type DType, isFloat } from "../tensor.js";
import { requireInput, shapeMismatch, stringAttribute, unsupported } from "./checks.js";
import type { Call, OpDefinition } from "./definition.js";
import { binary, unary } from "./elementwise.js";

const bitsOf = (dtype: DType) => Number(/\d+$/.exec(dtype)?.[0] ?? 1);

/** The integer's lowest bits, as the dtype reads them. */
function wrapped(x: bigint, dtype: DType): number {
  return Number(dtype.startsWith("u") ? BigInt.asUintN(bitsOf(dtype), x) : BigInt.asIntN(bitsOf(dtype), x));
}

const dtypeOf = (node: { readonly outputs: readonly Value[] }): DType => (node.outputs[0] as Value).dtype;

function onIntegers(definition: OpDefinition, check: (call: Call) => void = () => {}): OpDefinition {
  return {
    ...definition,
    infer: (call) => {
      const { dtype } = requireInput(call, 0);
      if (isFloat(dtype) || dtype === "bool") throw shapeMismatch(call, `it works on integers, not on ${dtype}`);
      check(call);
      return definition.infer(call);
    },
  };
}

function connective(op: string, f: (x: bigint, y: bigint) => bigint): OpDefinition {
  return onIntegers(binary(op, (x, y, node) => wrapped(f(BigInt(x), BigInt(y)), dtypeOf(node)), "none"));
}

/** Shifts by as many bits as there are, or more, leave nothing. */
const bitShift = onIntegers(
  binary(
    "BitShift",
    (x, y, node) => {
      const by = BigInt(Math.min(y, 64));
      const left = stringAttribute(node, "direction", "") === "LEFT";
      return wrapped(left ? BigInt(x) << by : BigInt(x) >> by, dtypeOf(node));
    },
    "none",
  ),
  (call) => {
    const { dtype } = requireInput(call, 0);
    if (!dtype.startsWith("u")) throw unsupported(call, `shifts ${dtype}, not unsigned integers`);
    const direction = stringAttribute(call, "direction", "");
    if (direction !== "LEFT" && direction !== "RIGHT") throw unsupported(call, `has no direction "${direction}"`);
  },
);

export const bitwise: readonly OpDefinition[] = [
  connective("BitwiseAnd", (x, y) => x & y),
  connective("BitwiseOr", (x, y) => x | y),
  connective("BitwiseXor", (x, y) => x ^ y),
  onIntegers(unary("BitwiseNot", (x, node) => wrapped(~BigInt(x), dtypeOf(node)), "none")),
  bitShift,
];
