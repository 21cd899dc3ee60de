/** A node of a file: its inputs are read from the scope, and its outputs are put into it. */
import type { NodeProto } from "onnx-buf";
import type { Attributes, Value } from "../../graph/value.js";
import type { Call } from "../../ops/call.js";
import { describeProto, invalidModel, nodeName, standardDomain } from "../proto.js";
import type { Scope } from "./scope.js";
import type { NamedItem } from "./sequence.js";

/** A node of a file, before it is made. */
export interface FileNode extends Call {
  readonly outputNames: readonly string[];
}

/** @param standIns what is read in place of some inputs, by their positions; null to leave one out */
export function readNode(
  proto: NodeProto,
  scope: Scope,
  attributes: Attributes = {},
  standIns: readonly (Value | null | undefined)[] = [],
): FileNode {
  const read = (name: string) => (name === "" ? null : scope.get(name));
  return {
    op: proto.opType,
    domain: standardDomain(proto.domain),
    name: nodeName(proto),
    inputs: proto.input.map((name, k) => {
      const standIn = standIns[k];
      return standIn === undefined ? read(name) : standIn;
    }),
    attributes,
    outputs: proto.output.length,
    outputNames: proto.output,
  };
}

/** Puts values into a scope under the names that a node gives to its outputs. */
export function bindOutputs(proto: NodeProto, values: readonly (() => NamedItem)[], scope: Scope): void {
  proto.output.forEach((name, k) => {
    const value = values[k];
    if (!value)
      throw invalidModel(`${describeProto(proto)} has ${values.length} results for ${proto.output.length} outputs`);
    if (name !== "") scope.bind(name, value);
  });
}
