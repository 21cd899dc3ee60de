/** What the operators of ONNX Runtime's own domain share. */
import { defect } from "../../errors.js";
import { sameShape, showShape } from "../../graph/dim.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { broadcastShape, part, requireInput, shapeMismatch } from "../checks.js";
import type { OpDefinition } from "../definition.js";

/** The domain of the operators that ONNX Runtime's optimizer and some exporters write. */
export const microsoft = "com.microsoft";

export function contrib(definition: OpDefinition): OpDefinition {
  return { ...definition, domain: microsoft };
}

/** A composite of one output. */
export function composite(
  op: string,
  infer: (call: Call) => ValueType,
  decompose: (node: Node, build: Build) => Value,
): OpDefinition {
  return contrib({ op, infer: (call) => [infer(call)], decompose: (node, build) => [decompose(node, build)] });
}

/** The type of the first input. */
export function likeFirst(call: Call): ValueType {
  const { dtype, shape } = requireInput(call, 0);
  return { dtype, shape };
}

/** The type of the first input, to whose shape the inputs at `indices` (if present) must broadcast. */
export function likeFirstWith(call: Call, ...indices: readonly number[]): ValueType {
  const type = likeFirst(call);
  for (const index of indices) {
    const input = call.inputs[index];
    if (input && !sameShape(broadcastShape(call, [type.shape, input.shape]), type.shape)) {
      throw shapeMismatch(
        call,
        `has an input ${showShape(input.shape)}, which does not broadcast to ${showShape(type.shape)}`,
      );
    }
  }
  return type;
}

/** Checks that the inputs at `indices` (if present) hold one number per element of the first input's last axis. */
export function requireLastAxisVectors(call: Call, ...indices: readonly number[]): void {
  const { shape } = requireInput(call, 0);
  const last = shape.slice(-1);
  if (shape.length === 0) throw shapeMismatch(part(call, "the input"), "is a scalar");
  for (const index of indices) {
    const input = call.inputs[index];
    if (input && !sameShape(input.shape, last)) {
      throw shapeMismatch(
        part(call, `input ${index}`),
        `has the shape ${showShape(input.shape)}, not ${showShape(last)}`,
      );
    }
  }
}

/** a + b, where b may be absent. */
export function addOptional(build: Build, a: Value, b: Value | null | undefined): Value {
  return b ? build.add(a, b) : a;
}

/** The definition of an operator that is part of another one. */
export function partOf(family: readonly OpDefinition[], op: string): OpDefinition {
  const found = family.find((definition) => definition.op === op);
  if (!found) throw defect(`${op} is missing from its family`);
  return found;
}
