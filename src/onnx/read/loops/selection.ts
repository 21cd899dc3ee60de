/**
 * Lists of positions to which some steps of a loop over the samples append and others do not, depending on a condition
 * on their own data: words that are not padding. Their length differs from sample to sample, so all possible elements
 * are kept, each with the condition under which it is in the list.
 */
import type { NodeProto } from "onnx-buf";
import { factorOf, isBatch, sameShape } from "../../../graph/dim.js";
import { constantValue, nodeOf, type Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { intAttribute, normalAxis, part, unsupported } from "../../../ops/checks.js";
import { standardDefinition } from "../../../ops/registry.js";
import { keepsDims, reducedAxes } from "../../../ops/rules/reductions.js";
import { decodeAttributes } from "../../attributes.js";
import type { Decoder } from "../decoder.js";
import { bindOutputs, type FileNode, readNode } from "../file-node.js";
import type { Scope } from "../scope.js";
import { type Candidate, isTensor, type NamedItem, SelectedRows, Selection } from "../sequence.js";
import { upgradeNode } from "../upgrade.js";

/** The result of one of two branches, chosen by a condition on a step's own data; null if pergrad cannot tell. */
export function chosen(build: Build, condition: Value, then: NamedItem, otherwise: NamedItem): NamedItem | null {
  const [a, b] = [candidatesOf(build, then), candidatesOf(build, otherwise)];
  const grown = a && b && merged(build, build.reshape(condition, []), a, b);
  if (grown) return grown;
  if (!isTensor(then) || !isTensor(otherwise)) return null;
  if (then.dtype !== otherwise.dtype || !sameShape(then.shape, otherwise.shape)) return null;
  return build.where(build.reshape(condition, []), then, otherwise);
}

/** The longer of two lists that begin alike, with its last element subject to the condition. */
function merged(build: Build, condition: Value, a: readonly Candidate[], b: readonly Candidate[]): Selection | null {
  const [longer, shorter] = a.length > b.length ? [a, b] : [b, a];
  const last = longer.at(-1);
  if (!last || longer.length !== shorter.length + 1 || !shorter.every((each, k) => sameCandidate(each, longer[k])))
    return null;
  const holds = longer === a ? condition : build.not(condition);
  return new Selection([...shorter, { element: last.element, kept: last.kept ? build.and(last.kept, holds) : holds }]);
}

function sameCandidate(a: Candidate, b: Candidate | undefined): boolean {
  const known = a.kept === null && b?.kept === null && a.element.known !== undefined;
  return a === b || (known && a.element.known?.[0] === b.element.known?.[0]);
}

/** The elements of a list, of known integers, or of an empty tensor followed by one element. */
function candidatesOf(build: Build, item: NamedItem): readonly Candidate[] | null {
  if (item instanceof Selection) return item.candidates;
  if (!isTensor(item) || item.dtype !== "int64" || item.shape.length !== 1) return null;
  const { known } = item;
  if (known && !known.some(isBatch))
    return known.map((each) => ({ element: build.ints([factorOf(each)]), kept: null }));
  const node = nodeOf(item);
  const [before, element, ...more] = node?.op === "Concat" ? node.inputs : [];
  return before?.shape[0] === 0 && element?.shape[0] === 1 && more.length === 0 ? [{ element, kept: null }] : null;
}

/** Whether a node reads such a list, or rows that the list picks. */
export function isSelectionNode(proto: NodeProto, scope: Scope): boolean {
  return proto.input.some((name) => isSelected(scope.notTensor(name)));
}

function isSelected(item: NamedItem | undefined): item is Selection | SelectedRows {
  return item instanceof Selection || item instanceof SelectedRows;
}

/** All rows from which a list picks; null for the list itself. */
function rowsIn(item: Selection | SelectedRows): Value | null {
  return item instanceof SelectedRows ? item.rows : null;
}

interface SelectionCall {
  readonly decoder: Decoder;
  /** The node without any list: it reads all possible rows in place of those that the list picks. */
  readonly node: FileNode;
  readonly items: readonly (NamedItem | undefined)[];
}

export function decodeSelectionNode(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const { build, opsetOf, precision } = decoder.context;
  const items = proto.input.map((name) => (name === "" ? undefined : scope.item(name)));
  const standIns = items.map((item) => (isSelected(item) ? rowsIn(item) : undefined));
  const read = readNode(proto, scope, decodeAttributes(proto, precision), standIns);
  const node = upgradeNode(read, opsetOf(proto), build);
  const result = resultOf({ decoder, node, items });
  bindOutputs(proto, [() => result], scope);
}

function resultOf(call: SelectionCall): NamedItem {
  const { decoder, node, items } = call;
  const { build } = decoder.context;
  const [first, second] = items;
  const found =
    first instanceof Selection
      ? ofList(build, node, first)
      : second instanceof Selection
        ? picked(call, second)
        : ofRows(
            call,
            items.filter((item) => item instanceof SelectedRows),
          );
  if (found) return found;
  throw unsupported(
    part(node, `input ${items.findIndex(isSelected)}`),
    "has a length that differs from sample to sample, as the data says",
    "replace the list by a mask over all positions",
  );
}

function ofList(build: Build, node: FileNode, list: Selection): NamedItem | null {
  if (node.op === "Size") return build.sum(build.cast(keptOf(build, list), "int64"));
  const added = node.inputs.slice(1);
  if (node.op !== "Concat" || !added.every((each) => each?.shape[0] === 1)) return null;
  const candidates = added.flatMap((element) => (element ? [{ element, kept: null }] : []));
  return new Selection([...list.candidates, ...candidates]);
}

/** `[K]`: whether each of the K possible elements of a list is in it. */
function keptOf(build: Build, { candidates }: Selection): Value {
  const always = constantValue({ dtype: "bool", dims: [1], data: Uint8Array.of(1) });
  return build.concat(
    candidates.map(({ kept }) => (kept ? build.reshape(kept, [1]) : always)),
    0,
  );
}

/** The elements at the listed positions. */
function picked({ decoder, node }: SelectionCall, list: Selection): SelectedRows | null {
  const [data] = node.inputs;
  if (node.op !== "Gather" || !data || normalAxis(node, intAttribute(node, "axis", 0), data.shape.length) !== 0)
    return null;
  const positions = list.candidates.map(({ element }) => element);
  const own = decoder.indices.ownRowsAt(data, positions);
  const rows = own ?? decoder.made("Gather", [data, decoder.context.build.concat(positions, 0)], { axis: 0 })[0];
  return rows ? new SelectedRows(rows, list) : null;
}

function ofRows({ decoder, node }: SelectionCall, operands: readonly SelectedRows[]): NamedItem | null {
  const { build } = decoder.context;
  const [first] = operands;
  if (!first) return null;
  const { rows, list } = first;
  const along = (tensor: Value | null) => tensor !== null && tensor.shape.length === rows.shape.length;
  const elementwise = node.op === "CastLike" || standardDefinition(node.op)?.elementwise === true;
  const others = node.inputs.filter((input) => operands.every((operand) => operand.rows !== input));
  if (elementwise && operands.every((operand) => operand.list === list)) {
    if (others.some((input) => along(input) && input?.shape[0] !== 1)) return null;
    const [made] = decoder.made(node.op, node.inputs, node.attributes);
    return made ? new SelectedRows(made, list) : null;
  }
  return node.inputs[0] === rows ? reduced(build, node, first) : null;
}

function reduced(build: Build, node: FileNode, { rows, list }: SelectedRows): Value | null {
  const op = node.op === "ReduceMean" ? "ReduceSum" : node.op;
  const fill = standardDefinition(op)?.neutral;
  if (fill === undefined) return null;
  const axes = reducedAxes(node);
  if (!axes.includes(0) || (node.op === "ReduceMean" && axes.length > 1)) return null;
  const kept = keptOf(build, list);
  const mask = build.reshape(kept, [...kept.shape, ...rows.shape.slice(1).map(() => 1)]);
  const result = build.reduce(op, build.where(mask, rows, build.scalar(fill, rows)), axes, keepsDims(node));
  return node.op === "ReduceMean" ? build.div(result, build.sum(build.cast(kept, rows.dtype))) : result;
}
