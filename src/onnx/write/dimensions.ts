/**
 * Writes shapes that depend on the batch: as constants where ONNX can infer N, otherwise as nodes that compute them
 * when the program runs.
 */

import { PergradError } from "../../errors.js";
import { type BatchMultiple, type Dim, factorOf, isBatch } from "../../graph/dim.js";
import type { Attributes, Node, Source, Value } from "../../graph/value.js";
import { nth } from "../../present.js";

/** What this module needs of the file under construction. */
interface Sink {
  readonly constant: (ints: readonly number[], dims?: readonly number[]) => string;
  readonly node: (op: string, inputs: readonly string[], attributes: Attributes, wanted: string) => string;
  readonly nameOf: (input: Value) => string;
}

/** What computes an operand. Shape arithmetic whose result is known is not computed again. */
export function operandSource({ source, known, dtype, shape }: Value): Source {
  if (source.kind !== "node" || !known || dtype !== "int64") return source;
  return { kind: "dims", scalar: shape.length === 0, dims: known };
}

/** Whether a node computes an operand. */
function isComputed({ source, known, dtype }: Value): boolean {
  return source.kind === "node" && !(known && dtype === "int64");
}

/**
 * The target of a Reshape as a constant, with -1 for the dimension that depends on N. It is read from the result's
 * shape, because the file's own target may contain both a zero and a -1, which fails for an empty batch. Undefined if
 * the result has several such dimensions, or an axis of size 0 (together with which -1 has no meaning).
 */
export function reshapeTarget(node: Node): number[] | undefined {
  if (node.op !== "Reshape" || node.domain !== "") return undefined;
  const shape = node.outputs[0]?.shape ?? [];
  if (shape.includes(0) || shape.filter(isBatch).length > 1) return undefined;
  return shape.map((dim) => (isBatch(dim) ? -1 : dim));
}

/** Those nodes of `order` (sorted) that `outputs` need, once known shapes have become constants. */
export function neededNodes(order: readonly Node[], outputs: Iterable<Value>): Node[] {
  const needed = new Set(outputs);
  const kept: Node[] = [];
  for (const node of [...order].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    const target = reshapeTarget(node);
    node.inputs.forEach((input, index) => {
      if (input && !(target && index === 1) && isComputed(input)) needed.add(input);
    });
  }
  return kept.reverse();
}

export class Dimensions {
  readonly #operands = new Map<string, string>();
  readonly #multiples = new Map<number, string>();

  constructor(
    private readonly inputs: readonly Value[],
    private readonly sink: Sink,
  ) {}

  /** The name of an int64 vector (or scalar) with these elements. Equal operands are shared. */
  operand(dims: readonly Dim[], scalar: boolean): string {
    const key = `${scalar}:${dims.map((dim) => (isBatch(dim) ? `N${dim.perSample}` : dim)).join()}`;
    const before = this.#operands.get(key);
    if (before !== undefined) return before;
    const name = dims.some(isBatch)
      ? this.#computed(dims, scalar)
      : this.sink.constant(dims.map(factorOf), scalar ? [] : undefined);
    this.#operands.set(key, name);
    return name;
  }

  #computed(dims: readonly Dim[], scalar: boolean): string {
    const parts: string[] = [];
    let constants: number[] = [];
    const flush = () => {
      if (constants.length > 0) parts.push(this.sink.constant(constants));
      constants = [];
    };
    for (const dim of dims) {
      if (isBatch(dim)) {
        flush();
        parts.push(this.#multiple(dim.perSample));
      } else constants.push(dim);
    }
    flush();
    if (scalar) return this.sink.node("Squeeze", parts, {}, "size");
    return parts.length === 1 ? nth(parts, 0) : this.sink.node("Concat", parts, { axis: 0 }, "shape");
  }

  /** N times a factor, as a vector of one element. */
  #multiple(factor: number): string {
    const before = this.#multiples.get(factor);
    if (before !== undefined) return before;
    const { name, axis, perSample } = this.#carrier();
    const source =
      this.#multiples.get(perSample) ?? this.sink.node("Shape", [name], { start: axis, end: axis + 1 }, "batch");
    this.#multiples.set(perSample, source);
    const result = this.#scaled(source, perSample, factor);
    this.#multiples.set(factor, result);
    return result;
  }

  #scaled(source: string, from: number, to: number): string {
    if (from === to) return source;
    const scale = (op: string, value: string, by: number) =>
      by === 1 ? value : this.sink.node(op, [value, this.sink.constant([by])], {}, "batch");
    return scale("Mul", scale("Div", source, from), to);
  }

  /** An input's axis from which the batch size can be read; an axis of exactly N if there is one. */
  #carrier(): { readonly name: string; readonly axis: number; readonly perSample: number } {
    const axes = this.inputs.flatMap((input) =>
      input.shape.flatMap((dim, axis) => (isBatch(dim) ? [{ name: this.sink.nameOf(input), axis, ...dim }] : [])),
    );
    const plain = axes.find(({ perSample }: BatchMultiple) => perSample === 1) ?? axes[0];
    if (!plain)
      throw new PergradError(
        "INVALID_MODEL",
        "No input of the program holds the samples, so the size of a batch is not known; give an input an axis N.",
      );
    return plain;
  }
}
