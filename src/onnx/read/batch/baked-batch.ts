/** The batch sizes that a file may have been made for although it leaves its batch open. */
import type { TensorProto } from "onnx-buf";
import { sizeOf } from "../../../tensor/tensor.js";
import { decodeTensor, PrecisionNotes } from "../../tensors.js";
import { subgraphsOf } from "../loops/subgraphs.js";
import type { Structure } from "../structure.js";
import type { BatchAxes } from "./batch-axes.js";

/** The most readings of a whole file, nearly all of which fail, before it is given up. */
const mostTried = 12;

/** Example batches are small. */
const largest = 1024;

/** Shapes are short. */
const mostElements = 16;

/**
 * The likeliest first: the size that the user gives for the batch's name, then 1, then sizes that the file's own
 * numbers and shapes suggest, the most common first.
 */
export function likelyBatches(
  { initializers, nodes }: Structure,
  { symbols }: BatchAxes,
  dimensions: Readonly<Record<string, number>> = {},
): number[] {
  const counts = new Map<number, number>();
  const add = (found: number) => {
    // If it is folded with others, as in N*T, it divides the number.
    for (let k = 1; k <= Math.min(found, largest); k++) {
      if (found % k === 0) counts.set(k, (counts.get(k) ?? 0) + (k === found ? 2 : 1));
    }
  };
  for (const tensor of initializers.values()) for (const found of numbersOf(tensor)) add(found);
  const left = [...nodes];
  for (const node of left) {
    for (const { t, i, ints } of node.attribute) {
      const held = node.opType === "Constant" ? [...ints, i].map(Number) : [];
      for (const found of [...held, ...(t ? numbersOf(t) : [])]) if (Number.isSafeInteger(found)) add(found);
    }
    for (const graph of subgraphsOf(node)) {
      left.push(...graph.node);
      for (const tensor of graph.initializer) for (const found of numbersOf(tensor)) add(found);
    }
  }
  const given = symbols.flatMap((symbol) => (Object.hasOwn(dimensions, symbol) ? [dimensions[symbol] ?? 1] : []));
  const common = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([size]) => size);
  return [...new Set([...given, 1, ...common])].slice(0, mostTried);
}

/** The elements of a shape; the dimensions of any other tensor. */
function numbersOf(proto: TensorProto): number[] {
  const dims = proto.dims.map(Number);
  const { dtype, data } = isShape(proto, dims)
    ? decodeTensor(proto, `The tensor "${proto.name}"`, new PrecisionNotes())
    : { dtype: undefined, data: [] };
  return dtype === undefined ? dims : Array.from<number | bigint>(data).map(Number);
}

function isShape({ dataType, dataLocation }: TensorProto, dims: readonly number[]): boolean {
  const whole = dataType === 7 || dataType === 6;
  return whole && dataLocation === 0 && dims.length < 2 && sizeOf(dims) <= mostElements;
}
