/** The operations of an open tensor file, whatever its format. */
import type { Tensor } from "../tensor/tensor.js";
import type { TensorLayout } from "./bytes.js";
import type { AxisRange } from "./rows.js";

/** Tensors whose parts are read when they are requested. */
export interface TensorFile {
  readonly layout: ReadonlyMap<string, TensorLayout>;
  /** A tensor, or the part between two places of one of its axes. Throws FILE_UNREADABLE. */
  read(name: string, part?: AxisRange): Promise<Tensor>;
  /** The rows at these places of one of a tensor's axes, in this order. Throws FILE_UNREADABLE. */
  rows(name: string, axis: number, places: ArrayLike<number>): Promise<Tensor>;
  /** Throws FILE_UNREADABLE if the file was changed since it was opened. */
  requireUnchanged(): Promise<void>;
  close(): Promise<void>;
}
