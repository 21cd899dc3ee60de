/** Checked access to the inputs and outputs of a node, for rules that require them. */
import { defect } from "../errors.js";
import { describeNode, type Node, type Value } from "./value.js";

/** A node, or one about to be made. */
interface Operation {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly (Value | null)[];
}

/**
 * Input `index`, which the op requires. Throws INTERNAL if it is absent, since `infer` should have refused the node.
 */
export function inputOf(node: Operation, index: number): Value {
  const input = node.inputs[index];
  if (!input) throw absent(node, `input ${index}`);
  return input;
}

/** Output `index`, which the op has. Throws INTERNAL if it is absent. */
export function outputOf(node: Node, index: number): Value {
  const output = node.outputs[index];
  if (!output) throw absent(node, `output ${index}`);
  return output;
}

/**
 * The inputs, to destructure: the first `count` are required, the others may be absent. Throws INTERNAL if a required
 * one is absent.
 */
export function inputsOf(node: Operation, count: 1): readonly [Value, ...(Value | null)[]];
export function inputsOf(node: Operation, count: 2): readonly [Value, Value, ...(Value | null)[]];
export function inputsOf(node: Operation, count: 3): readonly [Value, Value, Value, ...(Value | null)[]];
export function inputsOf(node: Operation, count: 4): readonly [Value, Value, Value, Value, ...(Value | null)[]];
export function inputsOf(node: Operation, count: number): readonly (Value | null)[] {
  for (let index = 0; index < count; index++) inputOf(node, index);
  return node.inputs;
}

/** The inputs of a node that has no optional ones. Throws INTERNAL if one is absent. */
export function allInputsOf(node: Operation): readonly Value[] {
  return node.inputs.map((_, index) => inputOf(node, index));
}

function absent({ op, name }: Operation, what: string) {
  return defect(`a rule of ${describeNode({ op, name, outputs: [] })} reads ${what}, which is absent`);
}
