/** Nodes that read lists of elements that a mask picks (`mask.ts`). */

import type { NodeProto } from "onnx-buf";
import { sourceOf } from "../../../graph/behind.js";
import { factorOf, isBatch, N, type Shape } from "../../../graph/dim.js";
import { constantOf, dimsValue, type Value } from "../../../graph/value.js";
import { alike } from "../../../ops/alike.js";
import { intAttribute, normalAxis, part, stringAttribute, unsupported } from "../../../ops/checks.js";
import { keepsDims, reducedAxes } from "../../../ops/rules/reductions.js";
import { nth } from "../../../present.js";
import { decodeAttributes } from "../../attributes.js";
import { standardDomain } from "../../proto.js";
import type { Decoder } from "../decoder.js";
import { bindOutputs, type FileNode, readNode } from "../file-node.js";
import type { Scope } from "../scope.js";
import { isTensor, MaskedRows, type NamedItem } from "../sequence.js";
import { upgradeNode } from "../upgrade.js";
import { type Grid, gridOf, restOf, spread, withUpdates } from "./columns.js";
import { placesOf as findPlaces, knownPlaces, type Mask, type Places } from "./mask.js";

interface MaskedCall {
  readonly decoder: Decoder;
  /** The node, which reads N elements in place of each list. */
  readonly node: FileNode;
  readonly items: readonly (NamedItem | undefined)[];
}

/** Whether a node looks for the places of a mask that the data decide, counts them, or reads a list of them. */
export function isMaskedNode(decoder: Decoder, proto: NodeProto, scope: Scope): boolean {
  if (proto.input.some((name) => scope.notTensor(name) instanceof MaskedRows)) return true;
  const [name = ""] = proto.input;
  if (standardDomain(proto.domain) !== "" || !scope.holds(name)) return false;
  const value = scope.get(name);
  if (proto.opType === "NonZero") return !constantOf(value) && !value.known && alike(value) === undefined;
  // Sums within each sample are no business of the list.
  const overAll = value.shape.length === 1 && isBatch(value.shape[0]);
  return proto.opType === "ReduceSum" && overAll && countedPlaces(decoder, value) !== undefined;
}

export function decodeMaskedNode(decoder: Decoder, proto: NodeProto, scope: Scope): void {
  const { opsetOf, precision, build } = decoder.context;
  const items = proto.input.map((name) => (name === "" ? undefined : scope.item(name)));
  const lists = items.map((item) => (item instanceof MaskedRows ? item.value : undefined));
  const read = readNode(proto, scope, decodeAttributes(proto, precision), lists);
  const node = upgradeNode(read, opsetOf(proto), build);
  const results = resultsOf({ decoder, node, items });
  bindOutputs(
    proto,
    results.map((result) => () => result),
    scope,
  );
}

function resultsOf(call: MaskedCall): readonly NamedItem[] {
  const { decoder, node, items } = call;
  const [data, second] = items;
  if (node.op === "NonZero" && data && isTensor(data)) return [placesOf(call, data)];
  if (node.op === "ReduceSum" && data && isTensor(data)) return [countOf(call, data)];
  if (data && isTensor(data) && second instanceof MaskedRows) {
    const found = indexed(call, data, second);
    if (found) return [found];
  }
  const mask = onlyMask(call);
  if (node.op === "Slice" && data && isTensor(data))
    throw unsupported(node, "takes as many elements as a mask picks, from the first on", scatterAdvice);
  refuseSamples(call);
  const { op, domain, inputs, attributes, outputs } = node;
  const { build } = decoder.context;
  if (domain !== "") throw unsupported(node, "reads elements that a mask picks", advice);
  const operands = inputs.map((input) => input && settled(input));
  return build.node(op, operands, attributes, outputs).outputs.map((value) => new MaskedRows(settled(value), mask));
}

/** A size does not depend on what it is the size of. */
function settled(value: Value): Value {
  const { known, dtype, shape } = value;
  return known && dtype === "int64" ? dimsValue(known, shape.length === 0) : value;
}

const advice = "compute it for all positions, and choose with Where (torch.where)";

const scatterAdvice =
  "write torch.where(mask, value, h), or export h[mask] = value with dynamo=True (masked_scatter mixes the samples)";

/** The mask of the lists that a node reads. */
function onlyMask({ node, items }: MaskedCall): Mask {
  const masks = new Set(items.flatMap((item) => (item instanceof MaskedRows ? [item.mask] : [])));
  const [mask] = masks;
  if (mask && masks.size === 1) return mask;
  throw unsupported(node, "joins the elements that two masks pick", advice);
}

/** A list has no sample axis, so what each sample has of its own cannot be matched with it. */
function refuseSamples({ node, items }: MaskedCall): void {
  const own = items.findIndex(
    (item) => item && isTensor(item) && (item.shape.some(isBatch) || item.known?.some(isBatch)),
  );
  if (own < 0) return;
  throw unsupported(part(node, `input ${own}`), "has a row for each sample, but the mask's elements have none", advice);
}

function placesOf({ decoder, node }: MaskedCall, data: Value): NamedItem {
  const { build, shapesOnly } = decoder.context;
  const batches = data.shape.filter(isBatch).length;
  if (batches !== 1 && !shapesOnly)
    throw unsupported(node, "picks as many elements as the data say, the same of all samples", advice);
  const { value, mask } = findPlaces(build, decoder.masks, build.cast(data, "bool"));
  return new MaskedRows(value, mask);
}

/** The places that a sum counts: all elements of a mask are added up. */
function countedPlaces(decoder: Decoder, value: Value): Places | undefined {
  const condition = sourceOf(value);
  return condition.dtype === "bool" ? knownPlaces(decoder.context.build, decoder.masks, condition) : undefined;
}

function countOf({ decoder, node }: MaskedCall, data: Value): NamedItem {
  const places = countedPlaces(decoder, data);
  const [, count] = places?.value.shape ?? [];
  if (!places || !count || reducedAxes(node).length === 0)
    throw unsupported(
      node,
      "counts the elements that a mask picks in each sample together with the list of them",
      advice,
    );
  return new MaskedRows(dimsValue([count], !keepsDims(node)), places.mask);
}

/** Gather and scatter by the places of a mask. Null if the indices are other integers. */
function indexed(call: MaskedCall, data: Value, { value, mask }: MaskedRows): NamedItem | null {
  const { node } = call;
  const grid = gridOf(node, value, mask);
  if (!grid) return null;
  switch (node.op) {
    case "GatherND":
      if (intAttribute(node, "batch_dims", 0) !== 0) return null;
      return new MaskedRows(pickedFrom(call, grid, data, 0), mask);
    case "Gather":
      return new MaskedRows(
        pickedFrom(call, grid, data, normalAxis(node, intAttribute(node, "axis", 0), data.shape.length)),
        mask,
      );
    case "ScatterND":
      return putBack(call, grid, data);
    case "ScatterElements":
      return normalAxis(node, intAttribute(node, "axis", 0), data.shape.length) === 0
        ? putBack(call, grid, data)
        : null;
    default:
      return null;
  }
}

/** `[...before, N * elements of a block, ...behind]`: the elements at the places, along axes from `axis` on. */
function pickedFrom({ decoder, node }: MaskedCall, grid: Grid, data: Value, axis: number): Value {
  const { build } = decoder.context;
  const front = data.shape
    .slice(0, axis)
    .reduce<Value>((moved) => build.moveAxis(moved, 0, data.shape.length - 1), data);
  const picked = grid.places.mask.pick(spread(build, node, grid, front));
  const rest = restOf(grid, front.shape);
  const list = build.reshape(picked, [grid.count, ...rest]);
  // The axes before `axis` are the last ones.
  return rest.slice(rest.length - axis).reduce<Value>((moved) => build.moveAxis(moved, rest.length, 0), list);
}

/** The data with updates where the mask holds. */
function putBack(call: MaskedCall, grid: Grid, data: Value): Value {
  const { decoder, node, items } = call;
  const { build, batchOver, shapesOnly } = decoder.context;
  const [, , updates] = items;
  if (shapesOnly) return data;
  const { mask, block } = grid.places;
  const rest = restOf(grid, data.shape);
  if (!(updates instanceof MaskedRows) || updates.mask !== mask || !batchOver)
    throw unsupported(part(node, "input 2"), "is no list of the elements that the same mask picks", advice);
  requireRows(node, updates.value.shape, [grid.count, ...rest]);
  const list = build.reshape(updates.value, [N, ...block, ...rest]);
  const all = mask.forAllPlaces(list, node, batchOver);
  const condition = mask.conditionFor(block.length + rest.length);
  return withUpdates(build, node, grid, data, {
    all,
    condition,
    reduction: stringAttribute(node, "reduction", "none"),
  });
}

function requireRows(node: FileNode, found: Shape, asked: Shape): void {
  const fits = found.length === asked.length && found.every((dim, k) => factorOf(dim) === factorOf(nth(asked, k)));
  if (!fits)
    throw unsupported(part(node, "input 2"), "has another shape than the elements that the mask picks", advice);
}
