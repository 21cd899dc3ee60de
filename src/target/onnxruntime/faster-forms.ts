import type { Node, Value } from "../../graph/value.js";

/** By the operator of a node: the same value in a form that ONNX Runtime computes faster; null if there is none. */
export type FasterForms = Readonly<Record<string, (node: Node) => Value | null>>;
