/** The operators that multiply by a weight, directly or transposed: their inputs and outputs for one sample. */
import { factorOf } from "../graph/dim.js";
import type { Node, Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { intAttribute, intsAttribute } from "../ops/checks.js";
import { definitionOf } from "../ops/registry.js";
import { nth, present } from "../present.js";

/** Rows of numbers. */
export type FloatRows = readonly Float64Array[];

/** An operator that multiplies its input by a weight, at some positions. */
export interface Use {
  readonly input: Value;
  readonly output: Value;
  /**
   * From the input's numbers for one sample: the rows that the weight multiplies, `[S, I]`; for a table, the indices of
   * the picked rows, `[S, 1]`.
   */
  readonly inputs: (data: Float64Array) => FloatRows;
  /** From the output's numbers: the products, `[S, O]`. */
  readonly outputs: (data: Float64Array) => FloatRows;
}

/** The role of a parameter: in a layer, as a table, by itself, or one that is not recognised here. */
export type Participation =
  | { readonly kind: "layer" | "table"; readonly uses: readonly Use[] }
  | { readonly kind: "alone" | "other" };

export function partOf(parameter: Value, output: Value): Participation {
  const readers = nodesBefore([output]).filter((node) => presentInputs(node).includes(parameter));
  const found = readers.flatMap((node) => readOf(node, parameter, output));
  const uses = found.flatMap(({ use }) => use ?? []);
  if (uses.length === 0) return { kind: found.every(({ kind }) => kind === "alone") ? "alone" : "other" };
  const [first] = found;
  const alike = uses.length === found.length && found.every(({ form }) => form === first?.form);
  return alike && first && (first.kind === "layer" || first.kind === "table")
    ? { kind: first.kind, uses }
    : { kind: "other" };
}

interface Read {
  readonly kind: Participation["kind"];
  /** Uses with the same form belong to one layer. */
  readonly form?: string;
  readonly use?: Use;
}

function readOf(node: Node, parameter: Value, output: Value): Read[] {
  const [first, second] = node.inputs;
  if (definitionOf(node)?.elementwise) return [{ kind: node.outputs.every(isPerSample) ? "alone" : "other" }];
  if (node.op === "Transpose" && parameter.shape.length === 2 && intsAttribute(node, "perm")?.join() === "1,0") {
    const turned = present(node.outputs[0]);
    const readers = nodesBefore([output]).filter((each) => presentInputs(each).includes(turned));
    return readers.map((each) => productOf(each, turned, true));
  }
  if (node.op === "Conv" && second === parameter && first) return [convolutionOf(node, first, parameter)];
  if (node.op === "Gather" && first === parameter && second && intAttribute(node, "axis", 0) === 0)
    return [tableOf(node, second, parameter)];
  return [productOf(node, parameter, false)];
}

const isPerSample = ({ shape }: Value) => shape.some((dim) => typeof dim !== "number");

/** Rows of `size` numbers each. */
export function rowsOf(data: Float64Array, size: number): FloatRows {
  return Array.from({ length: data.length / size }, (_, k) => data.subarray(k * size, (k + 1) * size));
}

/** MatMul and Gemm with the weight on the right. */
function productOf(node: Node, weight: Value, turned: boolean): Read {
  const [input, right] = node.inputs;
  const transposed = node.op === "Gemm" && intAttribute(node, "transB", 0) === 1;
  const plain =
    node.op === "MatMul" ||
    (node.op === "Gemm" && intAttribute(node, "transA", 0) === 0 && intAttribute(node, "alpha", 1) === 1);
  if (!plain || right !== weight || !input || weight.shape.length !== 2 || !isPerSample(input) || input === right)
    return { kind: "other" };
  const sizes = weight.shape.map(factorOf);
  const [from, to] = transposed ? [nth(sizes, 1), nth(sizes, 0)] : [nth(sizes, 0), nth(sizes, 1)];
  const output = present(node.outputs[0]);
  // If the samples lie along the last axis, a sample has no rows of its own.
  if (isPerSample({ ...input, shape: input.shape.slice(-1) })) return { kind: "other" };
  return {
    kind: "layer",
    form: `product ${transposed !== turned}`,
    use: { input, output, inputs: (data) => rowsOf(data, from), outputs: (data) => rowsOf(data, to) },
  };
}

function tableOf(node: Node, input: Value, table: Value): Read {
  if (table.shape.length !== 2 || !isPerSample(input)) return { kind: "other" };
  const [count, size] = [factorOf(nth(table.shape, 0)), factorOf(nth(table.shape, 1))];
  const inputs = (data: Float64Array) =>
    rowsOf(
      data.map((index) => (index < 0 ? index + count : index)),
      1,
    );
  const output = present(node.outputs[0]);
  return { kind: "table", form: "table", use: { input, output, inputs, outputs: (data) => rowsOf(data, size) } };
}

/** A convolution's patches, in the order of the weight's elements. */
function convolutionOf(node: Node, input: Value, weight: Value): Read {
  const rank = weight.shape.length - 2;
  if (intAttribute(node, "group", 1) !== 1 || !isPerSample(input)) return { kind: "other" };
  const { auto_pad: padding = "NOTSET" } = node.attributes;
  if (padding !== "NOTSET") return { kind: "other" };
  const output = present(node.outputs[0]);
  const [outputs, channels, ...kernel] = weight.shape.map(factorOf);
  const spatial = ({ shape }: Value) => shape.slice(2).map(factorOf);
  const [sizes, positions] = [spatial(input), spatial(output)];
  const each = (name: string, otherwise: number) => intsAttribute(node, name) ?? Array<number>(rank).fill(otherwise);
  const [strides, dilations, pads] = [each("strides", 1), each("dilations", 1), intsAttribute(node, "pads") ?? []];
  const places = (of: readonly number[]) =>
    of.reduce<number[][]>((all, size) => all.flatMap((at) => [...Array(size).keys()].map((k) => [...at, k])), [[]]);
  const flat = (at: readonly number[]) => at.reduce((sum, k, axis) => sum * nth(sizes, axis) + k, 0);
  const volume = sizes.reduce((product, size) => product * size, 1);
  const patch = (data: Float64Array, position: readonly number[]) =>
    Float64Array.from(
      [...Array(channels ?? 0).keys()].flatMap((channel) =>
        places(kernel).map((offset) => {
          const at = position.map(
            (p, axis) => p * nth(strides, axis) + nth(offset, axis) * nth(dilations, axis) - (pads[axis] ?? 0),
          );
          const inside = at.every((k, axis) => k >= 0 && k < nth(sizes, axis));
          return inside ? (data[channel * volume + flat(at)] ?? Number.NaN) : 0;
        }),
      ),
    );
  const count = positions.reduce((product, size) => product * size, 1);
  const column = (data: Float64Array, position: number) =>
    Float64Array.from({ length: outputs ?? 0 }, (_, channel) => data[channel * count + position] ?? Number.NaN);
  return {
    kind: "layer",
    form: "convolution",
    use: {
      input,
      output,
      inputs: (data) => places(positions).map((position) => patch(data, position)),
      outputs: (data) => [...Array(count).keys()].map((position) => column(data, position)),
    },
  };
}
