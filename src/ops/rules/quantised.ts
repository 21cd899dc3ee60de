/** Products of 8-bit integers. They have no derivative, and files that hold them are refused (`onnx/read/unknown.ts`). */

import { type Dim, showShape } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Value } from "../../graph/value.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { productShape } from "./linear.js";

const eightBits = new Set(["int8", "uint8"]);

/** Checks a zero point, which applies to a whole operand or, for the second operand, to each column. */
function requireZeroPoint(call: Call, index: 2 | 3, columns: Dim | undefined): void {
  const zero = call.inputs[index];
  if (!zero) return;
  const { dtype } = requireInput(call, index - 2);
  if (zero.dtype !== dtype)
    throw shapeMismatch(part(call, `input ${index}`), `is ${zero.dtype}, and the zero point of ${dtype}`);
  const whole = zero.shape.every((size) => size === 1) && zero.shape.length < 2;
  const each = index === 3 && zero.shape.length === 1 && zero.shape[0] === columns;
  if (!whole && !each)
    throw unsupported(part(call, `input ${index}`), `is of shape ${showShape(zero.shape)}, not one zero point`);
}

/** Converts to 32-bit numbers, which are exact as long as the sums fit. */
function widened(value: Value, zero: Value | null | undefined, build: Build): Value {
  const wide = build.cast(value, "int32");
  return zero ? build.sub(wide, build.cast(zero, "int32")) : wide;
}

/** Multiplies 8-bit numbers and adds them up in 32 bits. Sums that exceed 32 bits wrap around. */
export const matMulInteger: OpDefinition = {
  op: "MatMulInteger",
  infer: (call) => {
    for (const index of [0, 1]) {
      const { dtype } = requireInput(call, index);
      if (!eightBits.has(dtype)) throw shapeMismatch(part(call, `input ${index}`), `is ${dtype}, not int8 or uint8`);
    }
    const shape = productShape(call);
    requireZeroPoint(call, 2, undefined);
    requireZeroPoint(call, 3, shape.at(-1));
    return [{ dtype: "int32", shape }];
  },
  decompose: (node, build) => {
    const [a, b] = [widened(inputOf(node, 0), node.inputs[2], build), widened(inputOf(node, 1), node.inputs[3], build)];
    return [build.matmul(a, b)];
  },
};
