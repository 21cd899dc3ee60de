/** Finds which axis of each input holds the samples, from what the exporter wrote and what the user says. */
import type { TensorShapeProto_Dimension, ValueInfoProto } from "onnx-buf";
import { PergradError } from "../../../errors.js";

export interface BatchAxes {
  /** By input; null for one that all samples share. */
  readonly axes: ReadonlyMap<string, number | null>;
  /** The batch size that the file fixes, if it does. */
  readonly fixed: number | undefined;
  /** The file's names for it. */
  readonly symbols: readonly string[];
  readonly notes: readonly string[];
}

interface Input {
  readonly name: string;
  readonly dims: readonly TensorShapeProto_Dimension[];
}

/**
 * What exporters write for an unknown size (Paddle2ONNX "?", others "None"): these are no names, so two of them are
 * never the same size.
 */
const placeholder = /^(\?|-1|\*|none|unknown)?$/i;

/** The name of a symbolic dimension; undefined if it has a size, or no name. */
export function symbolOf(dim: TensorShapeProto_Dimension | undefined): string | undefined {
  return dim?.value.case === "dimParam" && !placeholder.test(dim.value.value) ? dim.value.value : undefined;
}

/** The size of a dimension that the file fixes. Some exporters write -1 for one that it does not fix. */
export function statedSize(dim: TensorShapeProto_Dimension | undefined): number | undefined {
  return dim?.value.case === "dimValue" && dim.value.value >= 0n ? Number(dim.value.value) : undefined;
}

/**
 * The samples lie along axis 0, unless the user or a dimension's name says otherwise. If some inputs leave their batch
 * open, an input of fixed size cannot hold it, so all samples share it. If all inputs are fixed, the samples are in the
 * first one, and in those with as many elements along axis 0. Throws INVALID_ARGUMENT.
 */
export function batchAxes(
  protos: readonly ValueInfoProto[],
  given: Readonly<Record<string, number | null>> = {},
): BatchAxes {
  const inputs = protos.map((proto): Input => ({ name: proto.name, dims: dimsOf(proto) }));
  const chosen = new Map(inputs.map((input) => [input, chosenAxis(input, given)]));
  const open = inputs.some((input) => {
    const axis = chosen.get(input) ?? likelyAxis(input);
    return chosen.get(input) !== null && input.dims[axis] !== undefined && statedSize(input.dims[axis]) === undefined;
  });
  const first = inputs.find((input) => chosen.get(input) !== null && input.dims.length > 0);
  const size = first && statedSize(first.dims[chosen.get(first) ?? 0]);
  const notes: string[] = [];
  const axes = inputs.map((input): [string, number | null] => {
    const said = chosen.get(input);
    if (said !== undefined) return [input.name, said];
    if (input.dims.length === 0) return [input.name, null];
    const axis = likelyAxis(input);
    const own = statedSize(input.dims[axis]);
    if (own === undefined || (!open && own === size)) return [input.name, axis];
    notes.push(sharedNote(input));
    return [input.name, null];
  });
  const fixed = inputs
    .map(({ dims }, k) => statedSize(dims[axes[k]?.[1] ?? dims.length]))
    .find((found) => found !== undefined);
  const symbols = inputs.flatMap(({ dims }, k) => symbolOf(dims[axes[k]?.[1] ?? dims.length]) ?? []);
  return { axes: new Map(axes), fixed, symbols, notes };
}

/** Undefined if it is not a tensor, or has no shape. */
export function dimsOf({ type }: ValueInfoProto): readonly TensorShapeProto_Dimension[] {
  return type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
}

function chosenAxis({ name, dims }: Input, given: Readonly<Record<string, number | null>>): number | null | undefined {
  const axis = Object.hasOwn(given, name) ? given[name] : undefined;
  if (axis === null || axis === undefined) return axis;
  const normal = axis < 0 ? axis + dims.length : axis;
  if (Number.isInteger(normal) && normal >= 0 && normal < dims.length) return normal;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `The input "${name}" has ${dims.length} axes, so ${axis} cannot be its sample axis; give one of these axes.`,
  );
}

/** Axis 0, unless another axis is named after the batch and axis 0 is not. */
function likelyAxis({ dims }: Input): number {
  const named = dims.findIndex((dim) => isBatchName(symbolOf(dim) ?? ""));
  const first = dims[0]?.value.case === "dimParam" ? dims[0].value.value : "";
  return named < 0 || /^(b|n|none|\?|unk__\d+)$/i.test(first) ? 0 : named;
}

/** "batch", "batch_size", "BatchSize", "bs", "bsz", "N", ... */
function isBatchName(symbol: string): boolean {
  return /batch|(^|_)bsz?($|_)|^n$/i.test(symbol);
}

function sharedNote({ name, dims }: Input): string {
  const shape = dims.map((dim) => symbolOf(dim) ?? statedSize(dim) ?? "?").join(", ");
  return (
    `The input "${name}" [${shape}] is assumed to be shared by all samples; if it holds them, ` +
    `say along which axis: sampleAxes: { ${JSON.stringify(name)}: 0 }, or --sample-axis ${name}=0.`
  );
}
