/** What a work-around is, and the ways to write one. */
import type { RangeOptions } from "../../../analysis/ranges.js";
import type { OnRewrite } from "../../../graph/rewritten.js";
import type { Node, Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { definitionOf } from "../../../ops/registry.js";
import { microsoft } from "../../../ops/subgraphs/contrib.js";
import type { Rewrite, Rule } from "../../../optimise/rule.js";

/** A rewriting rule for something that ONNX Runtime lacks, refuses or gets wrong although ONNX defines it. */
export interface Workaround extends Rule {
  /** The operators at whose nodes it is tried; those of another domain with its name: `com.microsoft.Gelu`. */
  readonly ops: readonly string[];
  /** What the runtime does instead. */
  readonly why: string;
  /** The versions in which this was seen. */
  readonly versions: string;
}

/** The work-arounds for operators that few models use. */
export interface Seldom {
  readonly workarounds: readonly Workaround[];
  /** See `infinite-pools.ts`. */
  readonly poolsOfInfinities: (outputs: readonly Value[], data?: RangeOptions, seen?: OnRewrite) => readonly Value[];
  /** The names, in a log of rewrites, of the work-arounds that look at more than one node. */
  readonly names: readonly string[];
}

/** An operator of ONNX Runtime's own domain, in the form of `ops`. */
export const contributed = (op: string): string => `${microsoft}.${op}`;

/** A node's operator, in the form of `ops`. */
export const keyOf = ({ domain, op }: Node): string => (domain === "" ? op : `${domain}.${op}`);

/** The decomposition that defines the node's operator. */
export const decomposed: Rewrite = (node, build) => definitionOf(node)?.decompose?.(node, build) ?? null;

/** The same, for nodes for which `applies` is true. */
export function decomposedWhere(applies: (node: Node) => boolean): Rewrite {
  return (node, build) => (applies(node) ? decomposed(node, build) : null);
}

/** The same node, with other inputs or attributes. */
export function restated(node: Node, build: Build, changed: Partial<Pick<Node, "inputs" | "attributes">>): Value[] {
  const { op, name, domain, inputs, attributes, outputs } = { ...node, ...changed };
  return [...build.node(op, inputs, attributes, outputs.length, { name, domain }).outputs];
}
