/** Inputs whose elements determine the output's shape. */

import type { Array64 } from "../../float64/array64.js";
import { array64 } from "../../float64/array64.js";
import { isBatch } from "../../graph/dim.js";
import { constantOf, type Node } from "../../graph/value.js";
import { elementsIn } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import { requireInput, unknownShape } from "../checks.js";

/** The elements of an input that is the same in every run. Throws UNKNOWN_SHAPE for any other. */
export function constantInput(call: Call | Node, index: number): Array64 {
  const input = requireInput(call, index);
  const tensor = constantOf(input);
  if (tensor) return array64(tensor.dims, Float64Array.from(elementsIn(tensor), Number));
  const known = input.known?.filter((dim) => !isBatch(dim));
  if (known && known.length === input.known?.length)
    return array64(input.shape.length === 0 ? [] : [known.length], known.map(Number));
  const name = input.name === "" ? "" : ` ("${input.name}")`;
  throw unknownShape(
    call,
    `gives as many elements as its input ${index}${name} says, which is computed from the data`,
    "make that a constant, or end the model before this node",
  );
}

/** The first element of such an input; `fallback` if the input is absent or empty. */
export function constantNumber(call: Call | Node, index: number, fallback: number): number {
  return call.inputs[index] ? (constantInput(call, index).data[0] ?? fallback) : fallback;
}
