/** Parameters as layers, whose gradients are sums, over positions, of the layer's input times its output's cotangent. */
import type { Factored } from "../gradients/factored.js";
import { Outer } from "../gradients/outer.js";
import { RowsGradient } from "../gradients/rows.js";
import { bindShape, elementsOf, factorOf, fixedSize, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { dependentsOf, nodesBefore } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { sizeOf } from "../tensor/tensor.js";
import { Positions } from "./biases.js";
import { independentOf } from "./guards.js";
import type { Gradients } from "./products.js";

/** Converts between a parameter, `[M, ...shape]`, and a matrix, `[M, rows, columns]`. */
export interface AsMatrix {
  readonly rows: number;
  readonly columns: number;
  to(value: Value): Value;
  from(matrix: Value): Value;
}

/** A weight, perhaps with its bias. The matrix is [outputs, inputs]; the bias is one more input that is always 1. */
export interface Layer {
  readonly kind: "layer";
  readonly name: string;
  readonly bias: string | null;
  readonly matrix: AsMatrix;
  /** `[N, S, I]`, without the bias's. */
  readonly inputs: Value;
  /** `[N, S, O]` */
  readonly cotangents: Value;
}

/** A table whose rows are picked. The matrix is [rows of the table, outputs]; an input is 1 at the row that is picked. */
export interface Table {
  readonly kind: "table";
  readonly name: string;
  readonly matrix: AsMatrix;
  readonly gradient: RowsGradient;
}

/** A parameter whose gradient is a matrix, but no product of one layer's inputs and cotangents. */
export interface Whole {
  readonly kind: "matrix";
  readonly name: string;
  readonly matrix: AsMatrix;
  readonly gradient: Factored;
}

/** A parameter whose gradient is a vector: a matrix of one row. */
export interface Single {
  readonly kind: "vector";
  readonly name: string;
  readonly matrix: AsMatrix;
  readonly gradient: Factored;
}

export type Block = Layer | Table | Whole | Single;

/** The parameters of a block: a weight comes before its bias. */
export function parametersOf(block: Block): string[] {
  return block.kind === "layer" && block.bias !== null ? [block.name, block.bias] : [block.name];
}

/** The same block for the gradients, and for the gradients with which they are multiplied; both have one form. */
export interface Pair {
  readonly block: Block;
  readonly weighted: Block;
}

/**
 * Puts every parameter into one block.
 * @param seed the value on which cotangents depend, and inputs do not
 */
export function blocksOf(gradients: Gradients, weighted: Gradients, seed: Value): Pair[] {
  const factors = [...gradients.values(), ...weighted.values()].flatMap((gradient) => gradient.factors);
  const dependent = dependentsOf([seed], nodesBefore(factors));
  const found = [...gradients].map(([name, own]) => pairOf(name, own, present(weighted.get(name)), dependent));
  const biases = new Set<string>();
  const layers = found.map(({ block, weighted: other }) => {
    if (block.kind !== "layer" || other.kind !== "layer") return { block, weighted: other };
    const positions = new Positions(block);
    const bias = found.find(({ block: { kind, name } }) => {
      const gradient = gradients.get(name);
      return kind === "vector" && !biases.has(name) && gradient !== undefined && positions.sumTo(gradient);
    })?.block.name;
    if (bias === undefined) return { block, weighted: other };
    biases.add(bias);
    const joined = { ...block, bias };
    return { block: joined, weighted: block === other ? joined : { ...other, bias } };
  });
  return layers.filter(({ block: { name } }) => !biases.has(name));
}

/** If a derivative is 0 whatever the seed, the two forms differ; then both are taken whole. */
function pairOf(name: string, own: Factored, weighted: Factored, dependent: ReadonlySet<Value>): Pair {
  const block = blockOf(name, own, dependent);
  if (own === weighted) return { block, weighted: block };
  const other = blockOf(name, weighted, dependent);
  const alike = block.kind === other.kind && positionsOf(block) === positionsOf(other);
  return alike ? { block, weighted: other } : { block: wholeOf(name, own), weighted: wholeOf(name, weighted) };
}

function positionsOf(block: Block): number {
  if (block.kind === "layer") return positionsIn(block);
  return block.kind === "table" ? block.gradient.positions : 0;
}

function blockOf(name: string, gradient: Factored, dependent: ReadonlySet<Value>): Block {
  if (gradient instanceof RowsGradient) {
    const { raw } = gradient.viewed;
    const [rows, columns] = [fixedSize(raw, 0), fixedSize(raw, 1)];
    const matrix = { rows, columns, ...throughView(gradient) };
    return { kind: "table", name, matrix, gradient };
  }
  return layerOf(name, gradient, dependent) ?? wholeOf(name, gradient);
}

/** A parameter on its own: a matrix of its first axis and the others, or a vector if one of these is 1. */
function wholeOf(name: string, gradient: Factored): Whole | Single {
  const sizes = bindShape(gradient.shape, 0);
  const size = sizeOf(sizes);
  const [first = 1] = sizes.filter((each) => each !== 1);
  const rows = first === size || size === 0 ? 1 : first;
  return {
    kind: rows === 1 ? "vector" : "matrix",
    name,
    matrix: reshaped(gradient.shape, rows, size / rows),
    gradient,
  };
}

function reshaped(shape: Shape, rows: number, columns: number): AsMatrix {
  return {
    rows,
    columns,
    to: (value) => build.reshape(value, [nth(value.shape, 0), rows, columns]),
    from: (matrix) => build.reshape(matrix, [nth(matrix.shape, 0), ...shape]),
  };
}

function throughView({ viewed }: Pick<Outer, "viewed">): Pick<AsMatrix, "to" | "from"> {
  return { to: (value) => viewed.undo(build, value), from: (matrix) => viewed.apply(build, matrix) };
}

/** One use of a weight: its factors, in the order of the weight's own elements if it is seen through a view. */
interface Use {
  readonly inputs: Value;
  readonly cotangents: Value;
  readonly matrix: AsMatrix;
  /** Uses with the same form can be joined. */
  readonly form: string;
}

/** Null if the weight's uses differ in form, or a use is no product of an input and a cotangent. */
function layerOf(name: string, gradient: Factored, dependent: ReadonlySet<Value>): Layer | null {
  const uses = gradient.terms.map((term) => (term instanceof Outer ? useOf(term, dependent) : null));
  const [first] = uses;
  if (!first) return null;
  const all = uses.flatMap((use) => (use && use.form === first.form ? [use] : []));
  if (all.length < uses.length) return null;
  const joined = (part: "inputs" | "cotangents") =>
    build.concat(
      all.map((use) => use[part]),
      1,
    );
  return {
    kind: "layer",
    name,
    bias: null,
    matrix: first.matrix,
    inputs: joined("inputs"),
    cotangents: joined("cotangents"),
  };
}

function useOf(outer: Outer, dependent: ReadonlySet<Value>): Use | null {
  const { rows, columns, viewed, blocked } = outer;
  const [first, second] = [independentOf(rows, dependent), independentOf(columns, dependent)];
  const inputs = second ?? first;
  if (blocked || !inputs || (first && second)) return null;
  const out = second ? 0 : 1;
  const cotangents = out === 0 ? rows : columns;
  const sizes = { rows: fixedSize(cotangents.shape, 2), columns: fixedSize(inputs.shape, 2) };
  const { sides } = viewed;
  if (!sides) {
    const { to, from } = throughView(outer);
    const turned = (value: Value) => (out === 0 ? value : build.transposeLast(value));
    const matrix = { ...sizes, to: (value: Value) => turned(to(value)), from: (value: Value) => from(turned(value)) };
    return { inputs, cotangents, matrix, form: JSON.stringify([out, viewed.raw, viewed.steps]) };
  }
  const axes = sides.map((_, axis) => axis);
  const order = [...axes.filter((axis) => sides[axis] !== 1 - out), ...axes.filter((axis) => sides[axis] === 1 - out)];
  return {
    inputs: viewed.ordered(build, inputs, 1 - out),
    cotangents: viewed.ordered(build, cotangents, out),
    matrix: { ...sizes, ...inOrder(outer.shape, order, sizes) },
    form: JSON.stringify([order, sizes]),
  };
}

/** The matrix whose rows are the first of the axes in this order, and whose columns are the others. */
function inOrder(
  shape: Shape,
  order: readonly number[],
  { rows, columns }: Pick<AsMatrix, "rows" | "columns">,
): Pick<AsMatrix, "to" | "from"> {
  const moved = order.map((axis) => fixedSize(shape, axis));
  return {
    to: (value) => {
      const turned = build.transpose(value, [0, ...order.map((axis) => axis + 1)]);
      return build.reshape(turned, [nth(value.shape, 0), rows, columns]);
    },
    from: (matrix) => {
      const split = build.reshape(matrix, [nth(matrix.shape, 0), ...moved]);
      return build.transpose(split, [0, ...shape.map((_, axis) => order.indexOf(axis) + 1)]);
    },
  };
}

/** The number of a layer's positions, S. */
export function positionsIn(layer: Layer): number {
  return factorOf(elementsOf(layer.inputs.shape.slice(1, 2)) ?? Number.NaN);
}
