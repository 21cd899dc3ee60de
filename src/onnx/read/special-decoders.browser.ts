/** What reads nodes that become something else than one node of the graph: a page loads it where a file has such nodes. */
import type { NodeProto } from "onnx-buf";
import type { NodeDecoder } from "./decoder.js";
import type { Scope } from "./scope.js";
import { isSpecial } from "./special-operators.js";

type Find = (proto: NodeProto, scope: Scope) => NodeDecoder | undefined;

/** What was loaded: it stays for the next file. */
const loaded: Find[] = [];

/** Loads what reads those of the operators that need it. */
export async function loadSpecialDecoders(operators: ReadonlySet<string>): Promise<void> {
  if (loaded.length > 0 || ![...operators].some(isSpecial)) return;
  loaded.push((await import("./special-nodes.js")).specialDecoder);
}

export function specialDecoder(proto: NodeProto, scope: Scope): NodeDecoder | undefined {
  return loaded[0]?.(proto, scope);
}
