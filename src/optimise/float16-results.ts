/** The dtype in which results are handed over. */
import { outputOf } from "../graph/operands.js";
import { makeNode, type Value } from "../graph/value.js";

/** The value rounded to float16 at a program's end: no other operator reads it. */
export function storedAsFloat16(value: Value): Value {
  const spec = { op: "Cast", domain: "", name: "", inputs: [value], attributes: { to: "float16" } };
  return outputOf(makeNode(spec, [{ dtype: "float16", shape: value.shape }]), 0);
}
