/**
 * The operators on sequences of tensors. The length of a sequence is known when the file is read, so no sequence is
 * left in the graph.
 */

import type { NodeProto } from "onnx-buf";
import { type Dim, divide, isBatch } from "../../graph/dim.js";
import { constantValue, dimsValue, type Value } from "../../graph/value.js";
import {
  intAttribute,
  interaction,
  knownDims,
  knownInt,
  normalAxis,
  part,
  shapeMismatch,
  unsupported,
} from "../../ops/checks.js";
import { entryOf, nth } from "../../present.js";
import { decodeAttributes } from "../attributes.js";
import type { Decoder } from "./decoder.js";
import { bindOutputs, type FileNode, readNode } from "./file-node.js";
import { subgraph } from "./loops/subgraphs.js";
import { Scope } from "./scope.js";
import { Absent, GrowingSequence, isTensor, type NamedItem, Sequence, StackedSequence } from "./sequence.js";
import type { sequenceOperators } from "./special-operators.js";

/** A node that reads or returns sequences. */
interface SequenceCall {
  readonly decoder: Decoder;
  readonly proto: NodeProto;
  readonly scope: Scope;
  /** The node, with only those of its inputs that are tensors. */
  readonly node: FileNode;
  /** All of the node's inputs; undefined for omitted ones. */
  readonly items: readonly (NamedItem | undefined)[];
}

type Rule = (call: SequenceCall) => readonly NamedItem[];

/** How each operator is resolved. */
const rules: Readonly<Record<(typeof sequenceOperators)[number], Rule>> = {
  SequenceEmpty: () => [new Sequence([])],
  SequenceConstruct: ({ node }) => [new Sequence(node.inputs.filter((input): input is Value => input !== null))],
  SequenceInsert: (call) => [inserted(call)],
  SequenceErase: (call) => {
    const { elements } = sequenceOf(call, 0);
    return [new Sequence(elements.toSpliced(placeIn(call, 1, elements.length, { otherwise: -1 }), 1))];
  },
  SequenceAt: (call) => {
    const { elements } = sequenceOf(call, 0);
    return [nth(elements, placeIn(call, 1, elements.length))];
  },
  SequenceLength: ({ decoder, ...call }) => {
    const list = call.items[0];
    if (!(list instanceof StackedSequence))
      return [decoder.context.build.ints([sequenceOf(call, 0).elements.length], [])];
    return [dimsValue([nth(list.stacked.shape, 0)], true)];
  },
  SplitToSequence: (call) => [split(call)],
  ConcatFromSequence: (call) => [joined(call)],
  SequenceMap: mapped,
  Optional: ({ items }) => [items[0] ?? new Absent()],
  OptionalGetElement: ({ node, items: [item] }) => {
    if (item && !(item instanceof Absent)) return [item];
    throw unsupported(node, "reads an optional value that is not there", "remove this branch from the model");
  },
  OptionalHasElement: ({ items: [item] }) => [
    constantValue({
      dtype: "bool",
      dims: [],
      data: Uint8Array.of(Number(item !== undefined && !(item instanceof Absent))),
    }),
  ],
};

/**
 * What kind of sequence operator the node is, if it reads or returns a sequence. An Identity counts if its input is a
 * sequence.
 */
export function isSequenceNode(proto: NodeProto, scope: Scope): boolean {
  if (Object.hasOwn(rules, proto.opType)) return true;
  const [name] = proto.input;
  return proto.opType === "Identity" && name !== undefined && scope.has(name) && !isTensor(scope.item(name));
}

export function decodeSequenceNode(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const items = proto.input.map((name) => (name === "" ? undefined : scope.item(name)));
  const tensors = { ...proto, input: proto.input.map((name, k) => (items[k] && isTensor(items[k]) ? name : "")) };
  const plain = { ...tensors, attribute: proto.attribute.filter(({ name }) => name !== "body" && name !== "type") };
  const node = readNode(plain, scope, decodeAttributes(plain, decoder.context.precision));
  const call = { decoder, proto, scope, node, items };
  const results = proto.opType === "Identity" ? [nth(items, 0)] : entryOf(rules, proto.opType)(call);
  bindOutputs(
    proto,
    results.map((item) => () => item),
    scope,
  );
}

function sequenceOf({ node, items }: Pick<SequenceCall, "node" | "items">, index: number): Sequence {
  const item = items[index];
  if (item instanceof Sequence) return item;
  if (item instanceof GrowingSequence || item instanceof StackedSequence)
    throw interaction(node, "reads single elements of a list that holds one for each sample");
  throw shapeMismatch(part(node, `input ${index}`), "is not a sequence of tensors");
}

/** A position in a sequence of `length` tensors, at most `last`. Negative positions count from the end. */
function placeIn(
  { node }: Pick<SequenceCall, "node">,
  index: number,
  length: number,
  { otherwise, last = length - 1 }: { readonly otherwise?: number; readonly last?: number } = {},
): number {
  const known = knownInt(node, index) ?? otherwise;
  if (known === undefined) throw shapeMismatch(node, "has no position, or one that is computed from the data");
  const place = known < 0 ? known + length : known;
  if (place >= 0 && place <= last) return place;
  throw shapeMismatch(part(node, `position ${known}`), `is outside a sequence of ${length} tensors`);
}

function inserted(call: SequenceCall): NamedItem {
  const { node, items } = call;
  const added = node.inputs[1];
  if (!added) throw shapeMismatch(node, "has no tensor to insert");
  const list = items[0];
  if (list instanceof GrowingSequence) {
    if (items[2] === undefined && list.own.length === 0) return new GrowingSequence([added]);
    throw unsupported(node, "adds to a list of one tensor per sample, elsewhere than at its end");
  }
  const { elements } = sequenceOf(call, 0);
  const end = elements.length;
  return new Sequence(elements.toSpliced(placeIn(call, 2, end, { otherwise: end, last: end }), 0, added));
}

/**
 * Splits into pieces of the stated sizes. With a single size, the last piece may be smaller; with no size, the pieces
 * have size 1 and the axis may be removed.
 */
function split({ node, decoder }: SequenceCall): Sequence {
  const x = node.inputs[0];
  if (!x) throw shapeMismatch(part(node, "the input"), "is not a tensor");
  const axis = normalAxis(node, intAttribute(node, "axis", 0), x.shape.length);
  const sizes = pieceSizes(node, nth(x.shape, axis), decoder.context.fixed);
  const pieces = decoder.made("Split", [x, dimsValue(sizes)], { axis }, sizes.length);
  if (intAttribute(node, "keepdims", 1) !== 0 || !dropsAxis(node)) return new Sequence(pieces);
  const { build } = decoder.context;
  return new Sequence(pieces.flatMap((piece) => decoder.made("Squeeze", [piece, build.ints([axis])])));
}

/**
 * Whether `keepdims` counts. ONNX ignores it if a size is given. Runtimes, however, do apply it for a size of 1, and
 * PyTorch's TorchScript exporter writes unbind in this form.
 */
function dropsAxis({ inputs: [, sizes] }: FileNode): boolean {
  return !sizes || (sizes.shape.length === 0 && sizes.known?.[0] === 1);
}

/** @param fixed the number of samples that the file was written for, if it fixes one: whole batches of it are of any number */
function pieceSizes(node: FileNode, size: Dim, fixed: number | undefined): Dim[] {
  const sizes = node.inputs[1];
  const given = sizes && sizes.shape.length > 0 ? knownDims(node, 1) : undefined;
  if (given) return batchesOf(given, size, fixed) ?? [...given];
  const piece = sizes ? sizes.known?.[0] : 1;
  if (piece === undefined)
    throw unsupported(
      node,
      "splits by a size that is computed from the data",
      "make that size a constant of the model",
    );
  if (!sizes && isBatch(size)) throw interaction(node, "splits the batch into single samples");
  const count = divide(size, piece);
  if (count !== undefined && !isBatch(count)) return Array<Dim>(count).fill(piece);
  if (isBatch(piece)) throw interaction(node, "splits the sample axis");
  if (!isBatch(size)) return inPieces(size, piece);
  const batches = fixed === undefined ? null : batchesOf(inPieces(size.perSample * fixed, piece), size, fixed);
  if (!batches) throw interaction(node, "splits the sample axis");
  return batches;
}

/** Pieces of one size, followed by the remainder. */
function inPieces(size: number, piece: number): number[] {
  const whole = Math.floor(size / piece);
  const rest = size - whole * piece;
  return [...Array<number>(whole).fill(piece), ...(rest > 0 ? [rest] : [])];
}

/** Sizes along the sample axis, written by a file that fixes the number of samples, as multiples of N. */
function batchesOf(sizes: readonly Dim[], size: Dim, fixed: number | undefined): Dim[] | null {
  if (!isBatch(size) || fixed === undefined) return null;
  const multiples = sizes.map((part) => (isBatch(part) || part % fixed !== 0 ? null : { perSample: part / fixed }));
  return multiples.every((part) => part !== null) ? multiples : null;
}

function joined(call: SequenceCall): Value {
  const { node, items, decoder } = call;
  const axis = intAttribute(node, "axis", 0);
  const fresh = intAttribute(node, "new_axis", 0) === 1;
  const list = items[0];
  if (list instanceof StackedSequence) return joinedSamples(call, list.stacked, axis, fresh);
  const { elements } = sequenceOf(call, 0);
  const [first] = elements;
  if (!first) throw unsupported(node, "joins a sequence of no tensors, whose shape is not known");
  const { build } = decoder.context;
  const rank = first.shape.length + (fresh ? 1 : 0);
  const place = build.ints([normalAxis(node, axis, rank)]);
  const parts = fresh ? elements.flatMap((element) => decoder.made("Unsqueeze", [element, place])) : elements;
  return nth(decoder.made("Concat", parts, { axis: normalAxis(node, axis, rank) }), 0);
}

/** The tensors of all samples joined: along a new axis, or along an axis that each of them has. */
function joinedSamples({ node, decoder }: SequenceCall, stacked: Value, axis: number, fresh: boolean): Value {
  const { build } = decoder.context;
  const rank = stacked.shape.length - (fresh ? 0 : 1);
  const place = normalAxis(node, axis, rank);
  const moved = build.moveAxis(stacked, 0, place);
  if (fresh) return moved;
  const [rows, own] = [nth(stacked.shape, 0), nth(stacked.shape, place + 1)];
  if (isBatch(own)) throw interaction(node, "joins tensors whose length depends on the batch size");
  const merged = isBatch(rows) ? { perSample: rows.perSample * own } : rows * own;
  return build.reshape(moved, [...moved.shape.slice(0, place), merged, ...moved.shape.slice(place + 2)]);
}

/** Decodes the body once for each element of the first sequence. Inputs that are tensors are the same each time. */
function mapped(call: SequenceCall): NamedItem[] {
  const { decoder, proto, scope, node, items } = call;
  const body = subgraph(proto, "body");
  const lists = items.map((item, k) => (item && !isTensor(item) ? sequenceOf(call, k).elements : undefined));
  const count = lists[0]?.length ?? 0;
  if (lists.some((list) => list && list.length !== count))
    throw shapeMismatch(part(node, "the sequences"), "differ in their number of tensors");
  const results = Array.from({ length: count }, (_, step) => {
    decoder.countInner();
    const inner = new Scope(scope);
    body.input.forEach(({ name }, k) => {
      const item = lists[k]?.[step] ?? items[k];
      if (!item)
        throw shapeMismatch(part(node, "the body"), `has ${body.input.length} inputs, but is not given all of them`);
      inner.set(name, item);
    });
    const structure = decoder.structureOf(body, inner);
    decoder.context.initializers.read(structure, inner);
    decoder.decodeNodes(structure, inner);
    return structure.outputs.map((name) => inner.get(name));
  });
  return proto.output.map((_, k) => new Sequence(results.map((outputs) => nth(outputs, k))));
}
