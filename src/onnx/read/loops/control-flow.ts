/** Branches and loops whose course is known before the model runs: they are replaced by their contents. */

import type { GraphProto, NodeProto } from "onnx-buf";
import type { BatchOver } from "../../../autodiff/vmap.js";
import { PergradError } from "../../../errors.js";
import { type BatchMultiple, isBatch, N } from "../../../graph/dim.js";
import { constantValue, nodeOf, type Value } from "../../../graph/value.js";
import type { Call } from "../../../ops/call.js";
import { interaction, part, requireInput, unsupported } from "../../../ops/checks.js";
import { nth } from "../../../present.js";
import { describeProto, invalidModel } from "../../proto.js";
import type { Decoder } from "../decoder.js";
import { bindOutputs, type FileNode, readNode } from "../file-node.js";
import { Scope } from "../scope.js";
import { isTensor, type NamedItem } from "../sequence.js";
import type { Structure } from "../structure.js";
import { sameFunction } from "./same-function.js";
import { decodeSampleLoop } from "./sample-loop.js";
import { chosen } from "./selection.js";
import { subgraph } from "./subgraphs.js";

/** The single element of a condition or a count. */
function knownElement(decoder: Decoder, call: Call, index: number, what: string): number {
  const value = requireInput(call, index);
  const [element, ...others] = value.known ?? [];
  if (isBatch(element)) throw interaction(call, `has a ${what} that depends on the batch size`);
  if (element !== undefined && others.length === 0) return element;
  const advice =
    decoder.adviceOn(value) ??
    "export the model in evaluation mode and with inputs of fixed shape, or remove the control flow";
  throw unsupported(
    part(call, `the ${what}`),
    "is computed from the data, so pergrad cannot tell what the model does",
    advice,
  );
}

/** Replaces the node by the branch that the condition selects. */
export function decodeIf(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const call = readNode(proto, scope);
  if (decoder.indices.isLastStep(requireInput(call, 0))) {
    bindOutputs(proto, ofAnyStep(decoder, call, proto, scope), scope);
    return;
  }
  const choice = choiceBetween(decoder, call, proto, scope);
  if (choice) {
    bindOutputs(proto, choice, scope);
    return;
  }
  const condition = knownElement(decoder, call, 0, "condition");
  bindOutputs(proto, branchOf(decoder, proto, scope, condition ? "then_branch" : "else_branch"), scope);
}

function branchOf(decoder: Decoder, proto: NodeProto, scope: Scope, name: string): (() => NamedItem)[] {
  const structure = decoder.structureOf(subgraph(proto, name), scope);
  const inner = new Scope(scope);
  decoder.context.initializers.read(structure, inner);
  decoder.decodeNodes(structure, inner);
  return resultsOf(structure, inner);
}

/** In the last step of a loop over the samples, another branch may run if its results equal those of the usual one. */
function ofAnyStep(decoder: Decoder, call: Call, proto: NodeProto, scope: Scope): (() => NamedItem)[] {
  const last = decoder.indices.lastStep(() => branchOf(decoder, proto, scope, "then_branch").map((item) => item()));
  return branchOf(decoder, proto, scope, "else_branch").map((result, k) => () => {
    const [item, other] = [result(), last[k]];
    if (other && isTensor(item) && isTensor(other) && sameFunction(item, other)) return item;
    throw interaction(call, "computes something else for the last sample");
  });
}

/** If a sample's own data decides, in a loop over the samples: computes both branches, and selects one of their results. */
function choiceBetween(decoder: Decoder, call: Call, proto: NodeProto, scope: Scope): (() => NamedItem)[] | null {
  const condition = requireInput(call, 0);
  const single = condition.shape.every((dim) => dim === 1);
  if (condition.known || !single || !decoder.indices.dependsOnStep(condition)) return null;
  const otherwise = branchOf(decoder, proto, scope, "else_branch");
  return branchOf(decoder, proto, scope, "then_branch").map((result, k) => () => {
    const item = chosen(decoder.context.build, condition, result(), nth(otherwise, k)());
    if (item) return item;
    throw unsupported(
      part(call, `result ${k}`),
      "has another shape in one branch than in the other, and the data decides which it is",
    );
  });
}

function resultsOf({ outputs }: Structure, scope: Scope): (() => NamedItem)[] {
  return outputs.map((name) => () => scope.item(name));
}

/**
 * Repeats the body as often as the trip count and the condition say. A loop with one step for each sample is run for
 * all samples at once.
 */
export function decodeLoop(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const control = { ...proto, input: proto.input.slice(0, 2) };
  const call = readNode(control, scope);
  const body = subgraph(proto, "body");
  const structure = decoder.structureOf(body, withInputs(scope, body));
  const constants = new Scope(scope);
  decoder.context.initializers.read(structure, constants);
  const carried = proto.input.slice(2).map((name) => () => scope.item(name));
  const [trips] = call.inputs[0]?.known ?? [];
  const { batchOver, fixed } = decoder.context;
  const overSamples = (rows: BatchMultiple, batch: BatchOver, how: { guessed?: boolean; counted?: boolean } = {}) => {
    const items = carried.map((item) => item());
    const loop = { proto, call, structure, carried: items, rows, guessed: false, counted: false, ...how };
    decodeSampleLoop(decoder, loop, { constants, scope, batchOver: batch });
  };
  if (batchOver && isBatch(trips)) {
    overSamples(trips, batchOver);
    return;
  }
  const counted = call.inputs[0] ? undefined : countedRows(call.inputs[1]);
  if (batchOver && counted) {
    overSamples(counted, batchOver, { counted: true });
    return;
  }
  // There are as many steps as the file has samples: perhaps one for each sample, perhaps by chance.
  const uncounted = !call.inputs[0] && call.inputs[1]?.known?.[0] === 1 && !decoder.indices.looping;
  if (batchOver && fixed !== undefined && (trips === fixed || uncounted)) {
    try {
      overSamples(N, batchOver, { guessed: true, counted: uncounted });
      return;
    } catch (error) {
      if (!(error instanceof PergradError)) throw error;
    }
  }
  unroll(decoder, { proto, call, structure, carried }, constants, scope);
}

/** The number of samples over which a loop counts, if it begins when 0 is less than that number. */
function countedRows(condition: Value | null | undefined): BatchMultiple | undefined {
  const node = condition ? nodeOf(condition) : undefined;
  const [from, to] = node?.op === "Less" ? node.inputs.map((input) => input?.known?.[0]) : [];
  return from === 0 && isBatch(to) ? to : undefined;
}

interface KnownLoop {
  readonly proto: NodeProto;
  /** The node, with only the trip count and the condition as inputs. */
  readonly call: FileNode;
  readonly structure: Structure;
  /** The values that the loop passes from step to step, before the first step. */
  readonly carried: readonly (() => NamedItem)[];
}

function unroll(
  decoder: Decoder,
  { proto, call, structure, ...loop }: KnownLoop,
  constants: Scope,
  scope: Scope,
): void {
  const trips = call.inputs[0] ? knownElement(decoder, call, 0, "trip count") : Number.POSITIVE_INFINITY;
  let { carried } = loop;
  const stacks: (() => NamedItem)[][] = structure.outputs.slice(1 + carried.length).map(() => []);
  let goesOn = call.inputs[1] ? knownElement(decoder, call, 1, "condition") !== 0 : true;
  for (let trip = 0; goesOn && trip < trips; trip++) {
    decoder.countInner();
    const inner = new Scope(constants);
    const given = [() => decoder.context.build.ints([trip], []), () => boolScalar(true), ...carried];
    structure.inputs.forEach(({ name }, k) => {
      const value = given[k];
      if (!value) throw invalidModel(`The body of ${describeProto(proto)} has more inputs than its loop hands it`);
      inner.bind(name, value);
    });
    decoder.decodeNodes(structure, inner);
    const [condition] = structure.outputs;
    if (condition === undefined) throw invalidModel(`The body of ${describeProto(proto)} gives no condition`);
    const results = resultsOf(structure, inner).slice(1);
    goesOn = knownElement(decoder, { ...call, inputs: [inner.get(condition)] }, 0, "condition") !== 0;
    carried = results.slice(0, carried.length);
    for (const [k, stack] of stacks.entries()) stack.push(...results.slice(carried.length + k, carried.length + k + 1));
  }
  const scanned = stacks.map((parts) => () => stacked(decoder, call, parts));
  bindOutputs(proto, [...carried, ...scanned], scope);
}

/** A scope that holds the inputs of a body, used to find its wiring. */
function withInputs(around: Scope, { input }: GraphProto): Scope {
  const scope = new Scope(around);
  for (const { name } of input) scope.set(name, boolScalar(true));
  return scope;
}

function stacked(decoder: Decoder, call: Call, parts: readonly (() => NamedItem)[]): Value {
  if (parts.length === 0) throw unsupported(call, "collects the results of no step at all, whose shape is not known");
  const axis = decoder.context.build.ints([0]);
  const rows = parts.flatMap((result) => {
    const item = result();
    if (!isTensor(item)) throw unsupported(call, "collects sequences, where pergrad collects tensors only");
    return decoder.made("Unsqueeze", [item, axis]);
  });
  return nth(decoder.made("Concat", rows, { axis: 0 }), 0);
}

function boolScalar(value: boolean): Value {
  return constantValue({ dtype: "bool", dims: [], data: Uint8Array.of(value ? 1 : 0) });
}
