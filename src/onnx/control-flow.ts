/** Branches and loops whose course is known before the model runs: replaced by what they do. */
import type { GraphProto, NodeProto } from "onnx-buf";
import { isBatch } from "../graph/dim.js";
import { constantValue, type Value } from "../graph/value.js";
import { interaction, requireInput, unsupported } from "../ops/checks.js";
import type { Call } from "../ops/definition.js";
import type { Decoder } from "./decoder.js";
import { bindOutputs, readNode } from "./file-node.js";
import { describeProto, invalidModel } from "./proto.js";
import { Scope } from "./scope.js";
import type { Structure } from "./structure.js";
import { subgraph } from "./subgraphs.js";

/** The one element of a condition or a count. */
function knownElement(call: Call, index: number, what: string): number {
  const [element, ...others] = requireInput(call, index).known ?? [];
  if (isBatch(element)) throw interaction(call, `has ${what} that depends on the batch size`);
  if (element !== undefined && others.length === 0) return element;
  throw unsupported(
    call,
    `its ${what} is computed from the data, so pergrad cannot tell what the model does; ` +
      "export the model in evaluation mode and with inputs of fixed shape, or take the control flow out of it",
  );
}

/** The branch that the condition says takes the node's place. */
export function decodeIf(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const condition = knownElement(readNode(proto, scope), 0, "condition");
  const branch = subgraph(proto, condition ? "then_branch" : "else_branch");
  const structure = decoder.structureOf(branch, scope);
  const inner = new Scope(scope);
  decoder.context.initializers.read(structure, inner);
  decoder.decodeNodes(structure, inner);
  bindOutputs(proto, resultsOf(structure, inner), scope);
}

function resultsOf({ outputs }: Structure, scope: Scope): (() => Value)[] {
  return outputs.map((name) => () => scope.get(name));
}

/** The body is repeated as often as the trip count and the condition say. */
export function decodeLoop(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const call = readNode(proto, scope);
  const trips = call.inputs[0] ? knownElement(call, 0, "trip count") : Number.POSITIVE_INFINITY;
  const body = subgraph(proto, "body");
  const structure = decoder.structureOf(body, withInputs(scope, body));
  const constants = new Scope(scope);
  decoder.context.initializers.read(structure, constants);
  let carried: (() => Value)[] = call.inputs.slice(2).map((_, k) => () => requireInput(call, k + 2));
  const stacks: (() => Value)[][] = structure.outputs.slice(1 + carried.length).map(() => []);
  let goesOn = call.inputs[1] ? knownElement(call, 1, "condition") !== 0 : true;
  for (let trip = 0; goesOn && trip < trips; trip++) {
    decoder.countInner();
    const inner = new Scope(constants);
    const given = [() => intScalar(trip), () => boolScalar(true), ...carried];
    structure.inputs.forEach(({ name }, k) => {
      const value = given[k];
      if (!value) throw invalidModel(`The body of ${describeProto(proto)} has more inputs than its loop hands it`);
      inner.bind(name, value);
    });
    decoder.decodeNodes(structure, inner);
    const [condition, ...results] = resultsOf(structure, inner);
    if (!condition) throw invalidModel(`The body of ${describeProto(proto)} gives no condition`);
    goesOn = knownElement({ ...call, inputs: [condition()] }, 0, "condition") !== 0;
    carried = results.slice(0, carried.length);
    for (const [k, stack] of stacks.entries()) stack.push(...results.slice(carried.length + k, carried.length + k + 1));
  }
  const scanned = stacks.map((parts) => () => stacked(decoder, call, parts));
  bindOutputs(proto, [...carried, ...scanned], scope);
}

/** A scope in which the inputs of a body are there, for finding its wiring. */
function withInputs(around: Scope, { input }: GraphProto): Scope {
  const scope = new Scope(around);
  for (const { name } of input) scope.set(name, boolScalar(true));
  return scope;
}

function stacked({ context: { build } }: Decoder, call: Call, parts: readonly (() => Value)[]): Value {
  if (parts.length === 0)
    throw unsupported(call, "it collects the results of no step at all, whose shape is not known");
  const axis = build.ints([0]);
  const rows = parts.map((part) => build.op("Unsqueeze", [part(), axis]));
  return build.op("Concat", rows, { axis: 0 });
}

function intScalar(value: number): Value {
  return constantValue({ dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(value)) });
}

function boolScalar(value: boolean): Value {
  return constantValue({ dtype: "bool", dims: [], data: Uint8Array.of(value ? 1 : 0) });
}
