/** The rules of an op that runs a graph of its own, step by step. */

import type { Array64 } from "../float64/array64.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import type { Body, Node, Value } from "../graph/value.js";
import type { Build } from "./build.js";
import type { Cotangent } from "./cotangent.js";

/**
 * The body's inputs: the states, then the inputs that are read slice by slice, then the values captured from outside.
 */
export interface BodyParts {
  readonly body: Body;
  readonly states: number;
  readonly scans: number;
}

/** Evaluates values of a body in float64. */
export type BodyEvaluate = (
  outputs: readonly Value[],
  feeds: ReadonlyMap<Value, Array64>,
  samples: number,
) => Array64[];

/** Finds the sample axes of values of a body, given those of leaves. */
export type BodyAxes = (
  outputs: readonly Value[],
  given: ReadonlyMap<Value, SampleAxis>,
) => readonly (SampleAxis | null)[];

/**
 * Adds a leading axis to some values of a body, and to everything that depends on them; null for a value that does not.
 */
export type BodyBatch = (
  outputs: readonly Value[],
  replacements: ReadonlyMap<Value, Value>,
) => readonly (Value | null)[];

/** Reverse mode in a body. */
export interface BodyReverse {
  readonly build: Build;
  /** The cotangents of some of a body's inputs: as tensors, or, for the `lazy` ones, as the rules state them. */
  readonly reverse: (
    seeds: ReadonlyMap<Value, Value>,
    targets: ReadonlySet<Value>,
    lazy: ReadonlySet<Value>,
  ) => ReadonlyMap<Value, readonly Cotangent[]>;
  readonly batch: BodyBatch;
  /** A cotangent as one tensor. */
  readonly emit: (cotangent: Cotangent) => Value;
}

/**
 * The rules of an op with a body. A rule does not know how a graph is evaluated, analysed or differentiated: its caller
 * passes the function that does this to the body.
 */
export interface BodyRules {
  /** Throws SHAPE_MISMATCH if the node has no body. */
  readonly parts: (node: Node) => BodyParts;
  /** As `evaluate` does for an op without a body. */
  readonly evaluate: (node: Node, inputs: readonly (Array64 | null)[], evaluateBody: BodyEvaluate) => Array64[];
  /** As `sampleAxis`. */
  readonly sampleAxis: (
    node: Node,
    axes: readonly (SampleAxis | null)[],
    axesInBody: BodyAxes,
  ) => (SampleAxis | null)[];
  /** As `differentiate`: for each input, the parts that add up to its cotangent. */
  readonly differentiate: (
    node: Node,
    cotangents: readonly (Value | null)[],
    wanted: readonly boolean[],
    body: BodyReverse,
  ) => (readonly Cotangent[])[];
  /** As `batch`. */
  readonly batch: (
    node: Node,
    inputs: readonly (Value | null)[],
    batched: readonly boolean[],
    batchBody: BodyBatch,
    build: Build,
  ) => Value[];
  /** The same outputs, with no value of the steps stacked twice; null if none is. */
  readonly stackedOnce: (node: Node, build: Build) => Value[] | null;
  /** The node with another body of equal results; null if its inputs are not all read in one direction. */
  readonly readingInstead: (node: Node, read: ReadInstead) => Node | null;
}

/** What another body reads, as pairs of a value outside and the value in the body that stands for it. */
export interface ReadInstead {
  /** Values that are read slice by slice. */
  readonly slices: readonly (readonly [outside: Value, inside: Value])[];
  readonly captured: readonly (readonly [outside: Value, inside: Value])[];
  /** As many as before, of the same types. */
  readonly outputs: readonly Value[];
}
