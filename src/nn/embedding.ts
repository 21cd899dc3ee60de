/** Tables of rows: embeddings, learned positions, and heads tied to them. */

import { PergradError } from "../errors.js";
import { isBatch, showShape } from "../graph/dim.js";
import { leadingOf } from "../present.js";
import { where } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { requireSameDType, type Traced } from "../trace/traced.js";
import { fanIn, normal, type ParameterSpec } from "./initial-values.js";
import { need, requireSize } from "./layers.js";
import type { Module } from "./module.js";
import { count } from "./window.js";

/** The initial values of a table's rows. */
export interface TableOptions {
  /** The standard deviation of the normal initial values; default 1. */
  readonly deviation?: number;
}

/** Options of `embedding`. */
export interface EmbeddingOptions extends TableOptions {
  /**
   * The index of padding (negative: from the end). It reads as a row of zeros; its row in the table starts at zeros and
   * gets no gradient. Default: none.
   */
  readonly paddingIndex?: number;
}

function checkDeviation(layer: string, deviation: number): void {
  if (!(deviation >= 0 && Number.isFinite(deviation))) {
    throw invalid(`${layer}: deviation must be a finite number from 0 up, not ${deviation}.`);
  }
}

/** A normal table in which one row is zeros. */
function table(rows: number, width: number, deviation: number, zeroRow: number | undefined): ParameterSpec {
  const all = normal([rows, width], deviation);
  if (zeroRow === undefined) return all;
  return { ...all, initial: (source) => all.initial(source).fill(0, zeroRow * width, (zeroRow + 1) * width) };
}

/** The row of `paddingIndex`, counted from the front. */
function paddingRow(rows: number, paddingIndex: number | undefined): number | undefined {
  if (paddingIndex === undefined) return undefined;
  const row = paddingIndex < 0 ? paddingIndex + rows : paddingIndex;
  if (Number.isInteger(row) && row >= 0 && row < rows) return row;
  throw invalid(
    `embedding: paddingIndex ${paddingIndex} is outside a table of ${rows} rows; give an index below ${rows}.`,
  );
}

function requireIndices(x: Traced): void {
  if (x.dtype === "int64" || x.dtype === "int32") return;
  throw new PergradError("DTYPE_MISMATCH", `it takes int64 or int32 indices, but its input is ${x.dtype}; cast it.`);
}

/**
 * Rows of a table, by index: [N, ...] int64 or int32 to [N, ..., width]. The single parameter is `weight` [vocabulary,
 * width]; an index must be within 0..vocabulary-1.
 * @throws PergradError INVALID_ARGUMENT: a size, `deviation` or `paddingIndex` is out of range.
 * @throws PergradError DTYPE_MISMATCH, when called: the input does not hold int64 or int32 indices.
 */
export function embedding(vocabulary: number, width: number, options: EmbeddingOptions = {}): Module {
  const { deviation = 1, paddingIndex } = options;
  count("embedding", "vocabulary", vocabulary, 0);
  count("embedding", "width", width, 0);
  checkDeviation("embedding", deviation);
  const padding = paddingRow(vocabulary, paddingIndex);
  return {
    name: "embedding",
    parameters: { weight: table(vocabulary, width, deviation, padding) },
    forward: (x, parameters) => {
      requireIndices(x);
      const rows = need(parameters, "weight").within(x.scope).gather(x, 0);
      if (padding === undefined) return rows;
      // The zeros are not the table's, so no cotangent reaches its row.
      return where(x.equal(padding).unsqueeze(x.rank), 0, rows);
    },
  };
}

/**
 * Learned positions: adds row t of `weight` [length, width] to position t of [N, T, width], T up to `length`.
 * @throws PergradError INVALID_ARGUMENT: a size or `deviation` is out of range.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: the input does not fit.
 */
export function positional(length: number, width: number, { deviation = 1 }: TableOptions = {}): Module {
  count("positional", "length", length, 0);
  count("positional", "width", width, 0);
  checkDeviation("positional", deviation);
  return {
    name: "positional",
    parameters: { weight: normal([length, width], deviation) },
    forward: (x, parameters) => {
      const { shape } = x.value;
      const positions = shape.at(-2);
      if (x.rank < 3 || positions === undefined || isBatch(positions) || positions > length) {
        const wanted = `[N, positions, ${width}] with up to ${length} positions`;
        throw new PergradError("SHAPE_MISMATCH", `it takes ${wanted}, but its input is ${showShape(shape)}.`);
      }
      requireSize(x, -1, width, "features");
      const weight = need(parameters, "weight").within(x.scope);
      requireSameDType("its input and weight", [x.value, weight.value]);
      return x.add(positions === length ? weight : weight.slice(0, 0, positions));
    },
  };
}

/** Options of a head that is tied to an embedding. */
export interface TiedOptions {
  /** Whether the head has a bias of its own; default false. */
  readonly bias?: boolean;
}

/**
 * The transposed map of an embedding or a linear layer, by the same `weight`: from [N, ..., width] to scores
 * [N, ..., vocabulary] for an embedding, from a linear layer's outputs back to its inputs for a linear layer.
 * The weight stays one parameter, named after its first use, and its gradient is the sum of both uses'.
 *
 *     const words = nn.embedding(5000, 64);
 *     const model = nn.sequential(words, nn.transformerEncoderLayer(64, 4), nn.tied(words));
 * @throws PergradError INVALID_ARGUMENT: the module is neither an embedding nor a linear layer.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when called: the input does not fit.
 */
export function tied(to: Module, { bias = false }: TiedOptions = {}): Module {
  const { weight } = to.parameters;
  const embeds = to.name === "embedding";
  if (weight?.shape.length !== 2 || !(embeds || to.name === "linear")) {
    throw invalid(`tied: it takes an embedding or a linear layer, not a ${to.name}; give one of these.`);
  }
  const [rows, columns] = leadingOf(weight.shape, 2);
  const [inputs, outputs] = embeds ? [columns, rows] : [rows, columns];
  return {
    name: "tied",
    parameters: { weight, ...(bias ? { bias: fanIn([outputs], inputs) } : {}) },
    inputShape: ["N", inputs],
    forward: (x, parameters) => {
      requireSize(x, -1, inputs, "features");
      const own = need(parameters, "weight").within(x.scope);
      requireSameDType("its input and weight", [x.value, own.value]);
      const product = x.matmul(embeds ? own.transpose() : own);
      return bias ? product.add(need(parameters, "bias")) : product;
    },
  };
}
