/** What all element-wise ops share: broadcasting, batching and the sample axis follow from being element-wise. */

import { map64, type RowOfPairs, rowOf, zipRows64 } from "../float64/array64.js";
import type { Dim } from "../graph/dim.js";
import { inputOf, outputOf } from "../graph/operands.js";
import type { Node, Value } from "../graph/value.js";
import { present } from "../present.js";
import type { DType } from "../tensor/tensor.js";
import type { Build } from "./build.js";
import { broadcastSampleAxis, broadcastShape, requireInput } from "./checks.js";
import type { DerivativeRule, OpDefinition } from "./definition.js";
import type { Range, RangeRule } from "./range.js";

/**
 * Adds the leading axis of batched inputs so that shapes still align at the right: `[B, 3]`, a batched `[3]`, becomes
 * `[B, 1, 3]` beside an unbatched `[2, 3]`.
 */
export function alignBatched(
  build: Build,
  inputs: readonly (Value | null)[],
  batched: readonly boolean[],
): (Value | null)[] {
  const rank = Math.max(...inputs.map((input, i) => (input?.shape.length ?? 0) - (batched[i] ? 1 : 0)));
  return inputs.map((input, i) => {
    if (!input || !batched[i]) return input;
    const [batch, ...rest] = input.shape;
    return build.reshape(input, [present(batch), ...Array<Dim>(rank - rest.length).fill(1), ...rest]);
  });
}

/** `batch` and `sampleAxis` of every element-wise op. */
export const elementwise: Pick<OpDefinition, "batch" | "sampleAxis" | "elementwise"> = {
  elementwise: true,
  batch: (node, inputs, batched, build) => [
    ...build.node(node.op, alignBatched(build, inputs, batched), node.attributes, 1, { domain: node.domain }).outputs,
  ],
  sampleAxis: (node, axes) => [broadcastSampleAxis(node, axes)],
};

/**
 * Where elements miss the maximum (or minimum) of their group, and so get none of its cotangent. False for NaN, whose
 * cotangent passes through, as in Clip.
 */
export function misses(isMaximum: boolean, x: Value, extremum: Value, build: Build): Value {
  return isMaximum ? build.less(x, extremum) : build.greater(x, extremum);
}

/** An op of one input and output dtype, element by element. `slope` builds dy/dx from x and y; the rule is dy * slope. */
export function unary(
  op: string,
  f: (x: number, node: Parameters<NonNullable<OpDefinition["evaluate"]>>[1]) => number,
  slope: ((x: Value, y: Value, build: Build, node: Parameters<DerivativeRule>[0]) => Value) | "none",
  range?: RangeRule,
  domain = "",
): OpDefinition {
  return {
    op,
    domain,
    ...(range ? { range } : {}),
    infer: (call) => {
      const { dtype, shape } = requireInput(call, 0);
      return [{ dtype, shape }];
    },
    evaluate: ([x], node) => [map64(present(x), (element) => f(element, node))],
    differentiate:
      slope === "none"
        ? "none"
        : (node, [dy], build) => {
            const x = inputOf(node, 0);
            return [build.mul(present(dy), slope(x, outputOf(node, 0), build, node))];
          },
    ...elementwise,
  };
}

/** An op of two inputs, with broadcasting. `result` is the output dtype, if it differs from the first input's. */
export function binary(
  op: string,
  f: (x: number, y: number, node: Parameters<NonNullable<OpDefinition["evaluate"]>>[1]) => number,
  differentiate: DerivativeRule | "none",
  result?: DType,
  /** The same, row by row: for the ops that process most elements. */
  row?: (node: Node) => RowOfPairs | undefined,
  range?: (a: Range, b: Range, node: Parameters<DerivativeRule>[0]) => Range,
): OpDefinition {
  return {
    op,
    ...(range ? { range: (node, [a, b]) => range(present(a), present(b), node) } : {}),
    infer: (call) => {
      const inputs = [requireInput(call, 0), requireInput(call, 1)] as const;
      return [{ dtype: result ?? inputs[0].dtype, shape: broadcastShape(call, [inputs[0].shape, inputs[1].shape]) }];
    },
    evaluate: ([x, y], node) => [zipRows64(present(x), present(y), row?.(node) ?? rowOf((a, b) => f(a, b, node)))],
    differentiate,
    ...elementwise,
  };
}

/** Marks a composite that the emitted opset does not have: its parts are emitted instead. */
export function lowered(definition: OpDefinition): OpDefinition {
  const { decompose } = definition;
  return decompose ? { ...definition, lower: decompose } : definition;
}
