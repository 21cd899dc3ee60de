/** Nodes that do not become one node of the graph: control flow, sequences and classic machine learning. */

import type { NodeProto } from "onnx-buf";
import { standardDefinition } from "../../ops/registry.js";
import { standardDomain } from "../proto.js";
import type { Decoder, NodeDecoder } from "./decoder.js";
import { decodeIf, decodeLoop } from "./loops/control-flow.js";
import { decodeScan } from "./loops/decode-scan.js";
import { decodeSelectionNode, isSelectionNode } from "./loops/selection.js";
import { decodeMaskedNode, isMaskedNode } from "./masks/decode-masked.js";
import { decodeMlNode } from "./ml/decode.js";
import type { Scope } from "./scope.js";
import { decodeSequenceNode, isSequenceNode } from "./sequences.js";
import { isMlOperator } from "./special-operators.js";

/** Operators without a definition, as none is left once a file has been read. */
const controlFlow: ReadonlyMap<string, NodeDecoder> = new Map([
  ["If", decodeIf],
  ["Loop", decodeLoop],
]);

export function specialDecoder(decoder: Decoder, proto: NodeProto, scope: Scope): NodeDecoder | undefined {
  if (isMlOperator(proto.domain, proto.opType)) return decodeMlNode;
  if (isMaskedNode(decoder, proto, scope)) return decodeMaskedNode;
  if (standardDomain(proto.domain) !== "") return undefined;
  if (standardDefinition(proto.opType)?.body) return decodeScan;
  const known = controlFlow.get(proto.opType) ?? (isSequenceNode(proto, scope) ? decodeSequenceNode : undefined);
  return known ?? (isSelectionNode(proto, scope) ? decodeSelectionNode : undefined);
}
