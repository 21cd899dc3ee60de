/**
 * Checks that a node has the form that ONNX defines for its operator: shape rules rely on it, and a runtime checks it
 * for every graph that it loads.
 */
import { advised, type PergradError } from "../../errors.js";
import type { Attribute, Value } from "../../graph/value.js";
import type { Call } from "../../ops/call.js";
import { describe, part, type Subject, unsupported } from "../../ops/checks.js";
import { isDType } from "../../tensor/tensor.js";
import { invalidModel } from "../proto.js";
import { type Form, readForms } from "./form.js";
import { forms } from "./operator-forms.js";
import { rareFormOf } from "./rare-nodes.js";

const usual = readForms(forms);

/** Undefined for operators of other domains, and for those that hold graphs, sequences or texts. */
export function formOf(op: string): Form | undefined {
  return usual.get(op) ?? rareFormOf(op);
}

/** Throws INVALID_MODEL, DTYPE_MISMATCH and, for attributes that the operator does not have, UNSUPPORTED_OP. */
export function checkNode(node: Call): void {
  const form = node.domain === "" ? formOf(node.op) : undefined;
  if (!form) return;
  checkInputs(node, form);
  checkTypes(node, form);
  checkAttributes(node, form);
}

function checkInputs(node: Call, { inputs, outputs }: Form): void {
  const count = 1 + node.inputs.findLastIndex((input) => input !== null);
  if (count > inputs.length && !inputs.at(-1)?.variadic)
    throw invalid(node, `has ${count} inputs, and no more than ${inputs.length} are defined`);
  if (node.outputs > outputs)
    throw invalid(node, `has ${node.outputs} outputs, and no more than ${outputs} are defined`);
  const missing = inputs.findIndex(({ optional, variadic }, k) => !optional && !variadic && !node.inputs[k]);
  if (missing >= 0) throw invalid(part(node, `input ${missing}`), "is missing");
  const hole = node.inputs.slice(0, count).indexOf(null, inputs.length - 1);
  if (hole >= 0 || (count === 0 && inputs.at(-1)?.variadic))
    throw invalid(part(node, `input ${Math.max(0, hole)}`), "is missing");
}

function checkTypes(node: Call, { inputs, types }: Form): void {
  const bound = new Map<string, { readonly index: number; readonly value: Value }>();
  node.inputs.forEach((value, index) => {
    const type = (inputs[index] ?? inputs.at(-1))?.type;
    if (!value || type === undefined) return;
    const allowed = types.get(type) ?? new Set([type]);
    if (!allowed.has(value.dtype)) {
      const list = [...allowed].filter((dtype) => dtype !== "float64").join(", ");
      throw mismatch(part(node, `input ${index} ("${value.name}")`), `is ${value.dtype}, not ${list}`, "cast it");
    }
    const first = bound.get(type) ?? { index, value };
    bound.set(type, first);
    if (first.value.dtype !== value.dtype) {
      const both = `${first.index} and ${index} are ${first.value.dtype} and ${value.dtype}`;
      throw mismatch(node, `has inputs of different types: ${both}`, "cast one of them");
    }
  });
}

function checkAttributes(node: Call, { attributes }: Form): void {
  for (const [name, value] of Object.entries(node.attributes)) {
    const kind = attributes.get(name);
    if (kind === undefined) throw unsupported(node, `has the attribute "${name}", which pergrad does not know there`);
    if (flags.has(name) && value !== 0 && value !== 1)
      throw invalid(part(node, `the attribute "${name}"`), "is not 0 or 1");
    if (!isOfKind(kind.replace("!", ""), value))
      throw invalid(part(node, `the attribute "${name}"`), `is not ${kinds[kind.replace("!", "")]}`);
  }
  for (const [name, kind] of attributes)
    if (kind.endsWith("!") && !Object.hasOwn(node.attributes, name))
      throw invalid(node, `lacks its attribute "${name}"`);
}

/** Integers that mean true or false. */
const flags = new Set(
  (
    "align_corners allowzero antialias ceil_mode count_include_pad exclude_outside exclusive fmod inverse is_causal keepdims " +
    "largest noop_with_empty_axes onesided periodic reverse select_last_index sorted storage_order training_mode transA transB " +
    "upper"
  ).split(" "),
);

const kinds: Readonly<Record<string, string>> = {
  i: "an integer",
  f: "a number",
  s: "a text",
  is: "a list of integers",
  fs: "a list of numbers",
  ss: "a list of texts",
  t: "a tensor",
};

/** An element type has already been decoded to a dtype. */
function isOfKind(kind: string, value: Attribute): boolean {
  if (typeof value === "number") return kind === "f" || (kind === "i" && Number.isSafeInteger(value));
  if (typeof value === "string") return kind === "s" || (kind === "i" && isDType(value));
  if (!Array.isArray(value)) return kind === "t";
  if (value.length === 0) return kind.length === 2;
  if (kind === "ss") return value.every((element) => typeof element === "string");
  return (kind === "is" && value.every(Number.isSafeInteger)) || (kind === "fs" && typeof value[0] === "number");
}

function invalid(subject: Subject, predicate: string): PergradError {
  return invalidModel(`${describe(subject)} ${predicate}`);
}

function mismatch(subject: Subject, predicate: string, advice: string): PergradError {
  return advised("DTYPE_MISMATCH", `${describe(subject)} ${predicate}`, advice);
}
