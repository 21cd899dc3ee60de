/**
 * How a saved program describes itself: JSON in its file's metadata under "pergrad.program", from which pergrad or another
 * reader can run it without compiling. docs/saved-programs.md describes it.
 */
import { nameInWant, type Output, whyWhole } from "../compile/joining.js";
import { type ProgramGraph, weightsOf } from "../compile/program-graph.js";
import type { Watch } from "../compile/watch.js";
import type { Bytes } from "../graph/bytes.js";
import { type DimSpec, isBatch, type Shape, showDim } from "../graph/dim.js";
import type { Expected, LabelLimit, RowLimit } from "../graph/model.js";
import { describeNode, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { bytesOfArray } from "../io/bytes.js";
import { sha256 } from "../io/digest.js";
import type { Loss } from "../nn/loss.js";
import { definitionOf } from "../ops/registry.js";
import { entryOf } from "../present.js";
import type { DType, Tensor } from "../tensor/tensor.js";
import { largestNorm, leastNorm } from "../wants/max-norm.js";
import type { WantSettings, Wants } from "../wants/wanted.js";

/** The metadata's key. */
export const storedKey = "pergrad.program";

/** The metadata's key for the runtime that needs work-arounds which a file does not hold. */
export const unadaptedKey = "pergrad.unadapted";

/** The metadata's key for a vector that a want was given: its float32 numbers, little-endian, in base64. */
const vectorKey = (input: string): string => `pergrad.vector/${input}`;

/** Vectors are written down only if all together take no more bytes than this. */
const mostVectors = 2 ** 28;

export const storedVersion = 2;

/** Whether a file holds the parameters' values, or takes them as inputs. */
export type Weights = "inside" | "inputs";

/** A value of the file. */
export interface StoredValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly DimSpec[];
}

/** An input that holds data. */
export interface StoredInput extends StoredValue {
  /** The axis that holds the samples; null where all samples share the input. */
  readonly sampleAxis: number | null;
  /** If it holds lengths of sequences: they are 0 to `atMost` (null: any number from 0 up). */
  readonly lengths?: { readonly atMost: number | null };
  /** If it holds class labels that the model itself looks up. */
  readonly labels?: readonly LabelLimit[];
  /** If it holds indices of rows that the model looks up in a table of parameters. */
  readonly rows?: readonly RowLimit[];
  /** If it holds the class labels of the loss: they are 0 to `count` - 1, or `ignored`. */
  readonly classes?: { readonly loss: string; readonly count: number; readonly ignored: number | null };
}

export interface StoredParameter extends StoredValue {
  /** Whether the program differentiates with respect to it. */
  readonly differentiated: boolean;
  /** The digest of the values' bytes, little-endian. */
  readonly sha256: string;
}

/** An output of the file. */
export interface StoredResult extends StoredValue, Pick<Output, "joining"> {
  /** The want that it belongs to; null if it belongs to the program itself (`watch`, hidden NaN). */
  readonly want: string | null;
  /** Its place in the want's result: ["sum", "layers/0/weight"]. */
  readonly path: readonly string[];
  /** The parameter that it belongs to, if any. */
  readonly parameter: string | null;
}

export interface StoredVector extends StoredValue {
  readonly want: string;
  readonly parameter: string;
  /** The metadata's key that holds its values; null if the want was given none. */
  readonly value: string | null;
}

export interface StoredScalar extends StoredValue {
  readonly want: string;
  readonly scalar: string;
  readonly initial: number;
  /** The least and the largest that it may be. */
  readonly range: readonly [number, number];
}

/** The form, version 2. */
export interface StoredForm {
  readonly version: typeof storedVersion;
  /** The loss's name, for readers of the file. */
  readonly loss: string;
  /** Where the parameters' values are: in the file, or in inputs of their names. */
  readonly weights: Weights;
  /** The data, `target` included, in the dtypes and shapes of the file. */
  readonly inputs: readonly StoredInput[];
  /** Data that nothing in the file reads. It may be given, because the compiled program takes it. */
  readonly unread?: readonly StoredInput[];
  /** The shape of the output that the loss takes, samples first. */
  readonly output: readonly DimSpec[];
  /** All parameters that the program reads. */
  readonly parameters: readonly StoredParameter[];
  /** The wants by name: their kinds, and the settings with which they were made. */
  readonly wants: Readonly<Record<string, { readonly kind: string; readonly settings?: WantSettings }>>;
  /** The file's outputs, and how those of two batches are joined. */
  readonly results: readonly StoredResult[];
  /** The wants' inputs: tensors of a parameter's shape, and numbers. */
  readonly vectors: readonly StoredVector[];
  readonly scalars: readonly StoredScalar[];
  /** The wants' inputs that take what another batch gives (`want.cross`). */
  readonly others: readonly (StoredValue & { readonly want: string })[];
  /** Nodes that draw random numbers, and the seeds that the model gives them (null: none, so that each run draws anew). */
  readonly seeds: readonly { readonly node: string; readonly seed: number | null }[];
  /** Why a batch cannot be computed in parts, as the end of a sentence; null if it can. */
  readonly whole: string | null;
  /** Which result shows for each sample whether its gradients are finite. */
  readonly watch: Watch | null;
  /** Bytes of a run at its peaks: fixed + perSample * N + perPair * N². */
  readonly memory: readonly Bytes[];
  /** Whether the program was compiled for data that may hold NaN and infinity. */
  readonly notFinite: boolean;
}

/** What a program's form is made from. */
export interface Storable {
  readonly loss: Loss;
  readonly graph: ProgramGraph;
  /** The file's outputs. */
  readonly outputs: readonly Output[];
  readonly output: Shape;
  readonly expected: ReadonlyMap<string, Expected>;
  /** The parameters to differentiate with respect to. */
  readonly parameters: ReadonlyMap<string, Value>;
  /** The values of the parameters that the file's graph reads. */
  readonly values: Readonly<Record<string, Tensor>>;
  readonly weights: Weights;
  readonly want: Wants;
  readonly memory: readonly Bytes[];
  readonly notFinite: boolean;
}

/** The metadata that describe a program. */
export function describedBy(program: Storable): Record<string, string> {
  const vectors = vectorsOf(program);
  return { [storedKey]: JSON.stringify(storedForm(program, new Set(Object.keys(vectors)))), ...vectors };
}

/** The vectors that wants were given, by the metadata's keys. */
function vectorsOf({ graph, want: wants }: Storable): Record<string, string> {
  const given = graph.vectors.flatMap(({ want, parameter, value }) => {
    const own = wants[want]?.vectors;
    const tensor = own && Object.hasOwn(own, parameter) ? own[parameter] : undefined;
    return tensor?.dtype === "float32" ? [[vectorKey(value.name), tensor] as const] : [];
  });
  if (weightsOf({ parameters: Object.fromEntries(given) }) > mostVectors) return {};
  return Object.fromEntries(given.map(([key, { data }]) => [key, base64(bytesOfArray(data))]));
}

/** Bytes encoded at a time: a call takes a limited number of arguments. */
const piece = 3 * 2 ** 12;

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += piece) text += btoa(String.fromCharCode(...bytes.subarray(at, at + piece)));
  return text;
}

const typeOf = ({ name, dtype, shape }: Pick<Value, "name" | "dtype" | "shape">): StoredValue => ({
  name,
  dtype,
  shape: specOf(shape),
});

const specOf = (shape: Shape): DimSpec[] => shape.map((dim) => (isBatch(dim) ? (showDim(dim) as DimSpec) : dim));

function storedForm(program: Storable, vectors: ReadonlySet<string>): StoredForm {
  const { graph, outputs, expected, want, loss, weights } = program;
  const { watch } = graph;
  const names = [...program.parameters.keys()];
  const read = new Set(graph.inputs.map(({ name }) => name));
  const unread = [...expected].flatMap(([name, each]) => (read.has(name) ? [] : [storedInput(each, program)]));
  return {
    version: storedVersion,
    loss: loss.name,
    weights,
    inputs: graph.inputs.flatMap(({ name }) => {
      const found = expected.get(name);
      return found ? [storedInput(found, program)] : [];
    }),
    ...(unread.length === 0 ? {} : { unread }),
    output: specOf(program.output),
    parameters: parametersOf(program),
    wants: Object.fromEntries(
      Object.entries(want).map(([name, { name: kind, settings }]) => [
        name,
        { kind, ...(settings ? { settings } : {}) },
      ]),
    ),
    results: outputs.map((output) => storedResult(output, names)),
    vectors: graph.vectors.map(({ want, parameter, value }) => {
      const key = vectorKey(value.name);
      return { ...typeOf(value), want, parameter, value: vectors.has(key) ? key : null };
    }),
    scalars: graph.scalars.map(({ want, name, value, initial }) => {
      return { ...typeOf(value), want, scalar: name, initial, range: [leastNorm, largestNorm] };
    }),
    others: graph.factors.map(({ want, value }) => ({ ...typeOf(value), want })),
    seeds: seedsOf(outputs),
    whole: whyWhole(outputs, expected) ?? null,
    watch: watch && outputs.some(({ name }) => name === watch.name) ? watch : null,
    memory: program.memory,
    notFinite: program.notFinite,
  };
}

function storedInput(
  { value, sampleAxis, atMost, labels, rows }: Expected,
  { loss, expected, output }: Storable,
): StoredInput {
  const isTarget = value === expected.get("target")?.value;
  const classes = isTarget ? loss.labels?.(output, value.shape) : undefined;
  return {
    ...typeOf(value),
    sampleAxis,
    ...(atMost === undefined ? {} : { lengths: { atMost: Number.isFinite(atMost) ? atMost : null } }),
    ...(labels ? { labels } : {}),
    ...(rows ? { rows } : {}),
    ...(classes ? { classes: { loss: loss.name, count: classes.classes, ignored: classes.ignored ?? null } } : {}),
  };
}

function parametersOf({ parameters, values, graph }: Storable): StoredParameter[] {
  const read = new Map(graph.parameters.map((value) => [value.name, value]));
  const all = new Map([...parameters, ...read]);
  return [...all.values()].flatMap((value) => {
    const { name } = value;
    if (!Object.hasOwn(values, name)) return [];
    const digest = sha256(bytesOfArray(entryOf(values, name).data));
    return [{ ...typeOf(value), differentiated: parameters.has(name), sha256: digest }];
  });
}

function storedResult(output: Output, parameters: readonly string[]): StoredResult {
  const { name, want, value, joining } = output;
  const own = nameInWant(output);
  const parameter = longest(parameters.filter((each) => own === each || own.endsWith(`/${each}`)));
  const before = parameter === undefined ? own : own.slice(0, -parameter.length - 1);
  const path = [...(before === "" ? [] : before.split("/")), ...(parameter === undefined ? [] : [parameter])];
  return { ...typeOf(value), name, want: want === "" ? null : want, path, parameter: parameter ?? null, joining };
}

function longest(names: readonly string[]): string | undefined {
  return names.reduce<string | undefined>(
    (most, each) => (most === undefined || each.length > most.length ? each : most),
    undefined,
  );
}

function seedsOf(outputs: readonly Output[]): StoredForm["seeds"] {
  const drawing = nodesBefore(outputs.map(({ value }) => value)).filter((node) => definitionOf(node)?.random);
  return drawing.map((node) => {
    const { seed } = node.attributes;
    return { node: describeNode(node), seed: typeof seed === "number" ? seed : null };
  });
}
