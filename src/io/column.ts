/** Columns of tables. */
import type { Tensor } from "../tensor/tensor.js";
import { tensorOfTexts } from "../tensor/texts.js";

export type Cell = number | bigint | string | boolean | null;

/** A column: numbers, or texts. */
export interface Column {
  readonly name: string;
  readonly values: Float32Array | Int32Array | readonly Cell[];
}

/** The numbers of the samples, from 0, and their names if they have any. */
export function samplesColumns(samples: number, ids?: readonly string[]): Column[] {
  const numbers = { name: "sample", values: Int32Array.from({ length: samples }, (_, n) => n) };
  return ids ? [numbers, { name: "id", values: ids }] : [numbers];
}

/** Numbers as they are, texts as bytes. */
export function tensorOfColumn({ values }: Column): Tensor {
  if (values instanceof Float32Array) return { dtype: "float32", dims: [values.length], data: values };
  if (values instanceof Int32Array) return { dtype: "int32", dims: [values.length], data: values };
  return tensorOfTexts(values.map(String));
}
