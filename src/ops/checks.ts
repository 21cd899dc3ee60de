/** Helpers that shape rules and sample-axis rules share: they read attributes and inputs, and report what is wrong. */
import { advised, PergradError } from "../errors.js";
import { type Dim, isBatch, type Shape, sameDim, showShape } from "../graph/dim.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { option, sentence, type Words } from "../sentence.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Call } from "./call.js";

type Named = Call | Node;

/** The part of a node that a message is about: its weight, its mode, its second input. */
interface NodePart {
  readonly noun: string;
  readonly node: Named;
}

/** What a message is about. */
export type Subject = Named | NodePart;

/** `noun` includes any article: "the bias", "input 2". */
export function part(node: Named, noun: string): NodePart {
  return { noun, node };
}

/** The start of a sentence: `Conv node "c"`, `The bias of Conv node "c"`. */
export function describe(subject: Subject): string {
  if ("noun" in subject) {
    const { noun, node } = subject;
    return `${noun.charAt(0).toUpperCase()}${noun.slice(1)} of ${describe(node)}`;
  }
  const { op, name, outputs } = subject;
  return describeNode({ op, name, outputs: typeof outputs === "number" ? [] : outputs });
}

// Each of these makes one sentence: its subject, a predicate that begins with a verb, and what to do.

export function shapeMismatch(
  subject: Subject,
  predicate: string,
  advice: Words = "correct the model, or the shapes of its inputs",
): PergradError {
  return advised("SHAPE_MISMATCH", `${describe(subject)} ${predicate}`, advice);
}

export function unsupported(
  subject: Subject,
  predicate: string,
  advice: Words = "remove the node from the model, or express it with other operators",
): PergradError {
  return advised("UNSUPPORTED_OP", `${describe(subject)} ${predicate}`, advice);
}

export function unknownShape(
  subject: Subject,
  predicate: string,
  advice: Words = "make that a constant of the model",
): PergradError {
  return advised("UNKNOWN_SHAPE", `${describe(subject)} ${predicate}`, advice);
}

/** The error for a node that lets samples influence each other. */
export function interaction(
  subject: Subject,
  predicate: string,
  advice: Words = "remove that from the model, or say which axis holds the samples",
): PergradError {
  const problem = `${describe(subject)} ${predicate}, so the samples of a batch influence each other and per-sample gradients are undefined`;
  return advised("SAMPLES_INTERACT", problem, advice);
}

/** Input `index`, which the op requires. */
export function requireInput(call: Named, index: number): Value {
  const input = call.inputs[index];
  if (!input)
    throw new PergradError(
      "INVALID_MODEL",
      `${describe(part(call, `input ${index}`))} is missing; export the model again.`,
    );
  return input;
}

export function intAttribute(call: Named, name: string, fallback: number): number {
  const value = call.attributes[name];
  return typeof value === "number" ? value : fallback;
}

export const floatAttribute = intAttribute;

export function stringAttribute(call: Named, name: string, fallback: string): string {
  const value = call.attributes[name];
  return typeof value === "string" ? value : fallback;
}

export function intsAttribute(call: Named, name: string): readonly number[] | undefined {
  const value = call.attributes[name];
  return Array.isArray(value) && value.every((element) => typeof element === "number") ? value : undefined;
}

export function tensorAttribute(call: Named, name: string): Tensor | undefined {
  const value = call.attributes[name];
  return typeof value === "object" && "dims" in value ? value : undefined;
}

/** The elements of an integer vector that must be known at compile time. Undefined if the input is absent. */
export function knownDims(call: Named, index: number): readonly Dim[] | undefined {
  const input = call.inputs[index];
  if (input && input.shape.length !== 1) {
    throw shapeMismatch(
      part(call, `input ${index} ("${input.name}")`),
      `is of rank ${input.shape.length}, not a vector`,
    );
  }
  return knownElements(call, index);
}

/** The single element, which must be known, of a scalar or a vector of one. Undefined if the input is absent. */
export function knownScalar(call: Named, index: number): Dim | undefined {
  const input = call.inputs[index];
  if (input && (input.shape.length > 1 || (input.shape[0] ?? 1) !== 1)) {
    throw shapeMismatch(part(call, `input ${index} ("${input.name}")`), `is ${showShape(input.shape)}, not a scalar`);
  }
  return knownElements(call, index)?.[0];
}

/** The same, as a plain integer. */
export function knownInt(call: Named, index: number): number | undefined {
  const dim = knownScalar(call, index);
  return dim === undefined ? undefined : plainDim(call, index, dim);
}

function plainDim(call: Named, index: number, dim: Dim): number {
  if (isBatch(dim)) throw unsupported(part(call, `input ${index}`), "depends on the batch size");
  return dim;
}

function knownElements(call: Named, index: number): readonly Dim[] | undefined {
  const input = call.inputs[index];
  if (!input) return undefined;
  if (input.known) return input.known;
  throw unknownShape(
    part(call, `input ${index} ("${input.name}")`),
    "must be known before the model runs, but depends on the data",
  );
}

/** The elements of a vector of plain integers, which must be known. Undefined if the input is absent. */
export function knownInts(call: Named, index: number): readonly number[] | undefined {
  return knownDims(call, index)?.map((dim) => plainDim(call, index, dim));
}

/** An axis counted from the front. Throws SHAPE_MISMATCH if it is out of range. */
export function normalAxis(call: Named, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= Math.max(rank, 1)) {
    throw shapeMismatch(part(call, `axis ${axis}`), `is outside a tensor of rank ${rank}`);
  }
  return normal;
}

/** As `normalAxis`, but also refuses a scalar, which has no axes. */
export function ownAxis(call: Named, axis: number, rank: number): number {
  if (rank === 0) throw shapeMismatch(part(call, `axis ${axis}`), "is outside a scalar, which has no axes");
  return normalAxis(call, axis, rank);
}

/** The shape that `shapes` broadcast to, aligned at the right. */
export function broadcastShape(call: Named, shapes: readonly Shape[]): Dim[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const dims = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1).filter((dim) => dim !== 1);
    const first = dims[0] ?? 1;
    if (!dims.every((dim) => sameDim(dim, first))) {
      throw shapeMismatch(
        call,
        `has inputs ${shapes.map(showShape).join(" and ")}, which do not broadcast`,
        carriers(call),
      );
    }
    return first;
  });
}

/** Which inputs carry the samples, and where: the reader may then see that an input was mistaken for a batch. */
function carriers({ inputs }: Named): Words | undefined {
  const described = inputs.flatMap((input, k) => {
    if (!input) return [];
    const axis = input.shape.findIndex(isBatch);
    const name = input.name === "" ? `input ${k}` : `"${input.name}"`;
    return [axis < 0 ? `${name} carries no samples` : `${name} carries the samples along axis ${axis}`];
  });
  if (!inputs.some((input) => input?.shape.some(isBatch))) return undefined;
  const shared = option("sampleAxes", { NAME: null });
  return sentence`${described.join(" and ")}, so if an input of the model is the same for all samples, say so (${shared}), or correct the shapes`;
}

export function sameSampleAxis(a: SampleAxis, b: SampleAxis): boolean {
  return a.axis === b.axis && (a.uniform || b.uniform || (a.outer === b.outer && a.inner === b.inner));
}

/** The sample axis on which all inputs that have one agree. Throws SAMPLES_INTERACT if they do not. */
export function agree(node: Node, axes: readonly (SampleAxis | null)[]): SampleAxis | null {
  const present = axes.filter((axis) => axis !== null);
  const first = present.find((axis) => !axis.uniform) ?? present[0];
  if (!first) return null;
  if (!present.every((axis) => sameSampleAxis(axis, first))) {
    throw interaction(node, "combines inputs whose samples lie along different axes");
  }
  return first;
}

/** The rule of element-wise ops: axes are aligned at the right. */
export function broadcastSampleAxis(node: Node, axes: readonly (SampleAxis | null)[]): SampleAxis | null {
  const rank = Math.max(...node.inputs.map((input) => input?.shape.length ?? 0));
  return agree(
    node,
    axes.map((at, i) => (at ? { ...at, axis: at.axis + rank - (node.inputs[i]?.shape.length ?? 0) } : null)),
  );
}

/** The rule for ops that work along `axis`, which must not be the sample axis: softmax, cumulative sums, sorting. */
export function apartFrom(node: Node, at: SampleAxis | null, axes: readonly number[], how: string): SampleAxis | null {
  if (at && axes.includes(at.axis)) throw interaction(node, how);
  return at;
}
