/** Records which rewriting rule fired where, and what it made. */

import type { OnRewrite } from "../graph/rewritten.js";
import { describeNode, type Node, nodeOf, showCall, showOperand, showType, type Value } from "../graph/value.js";
import { table } from "./table.js";

/** One firing of a rule. */
export interface LoggedRewrite {
  /** The rule's name, such as "einsum-as-matmul". */
  readonly rule: string;
  /** The node that it fired at. */
  readonly node: Node;
  /** The values that replace the node's outputs. */
  readonly results: readonly Value[];
}

/** Collects the rewrites of the compiler's clean-ups; pass `seen` to them. */
export class RewriteLog {
  readonly #entries: LoggedRewrite[] = [];

  /** Records a step, if a rule made it. */
  readonly seen: OnRewrite = ({ rule, node, results }) => {
    if (rule !== null) this.#entries.push({ rule, node, results });
  };

  /** In the order in which the rules fired. */
  get entries(): readonly LoggedRewrite[] {
    return this.#entries;
  }

  /** How often each rule fired, the most frequent first. */
  get counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { rule } of this.#entries) counts.set(rule, (counts.get(rule) ?? 0) + 1);
    return new Map([...counts].sort(([, a], [, b]) => b - a));
  }

  /** One line for each firing. Values without a name are numbered. */
  get lines(): readonly string[] {
    const numbers = new Numbers();
    return this.#entries.map((entry) => describeRewrite(entry, numbers));
  }

  /** One line for each firing, and how often each rule fired. Values without a name are numbered. */
  toString(): string {
    if (this.#entries.length === 0) return "No rewriting rule fired.\n";
    const lines = this.lines.map((line) => `${line}\n`).join("");
    const counts = [...this.counts].map(([rule, count]) => [rule, String(count)]);
    return `${lines}\n${table([["rule", "times"], ...counts], 1)}`;
  }
}

/** The names of values in a text: their own, or numbers. */
class Numbers {
  readonly #numbers = new Map<Value, number>();

  readonly nameOf = (value: Value): string => {
    if (value.name !== "") return value.name;
    const number = this.#numbers.get(value) ?? this.#numbers.size;
    this.#numbers.set(value, number);
    return `%${number}`;
  };
}

/** The depth to which nodes that a rule made are printed. */
const depth = 4;

function describeRewrite({ rule, node, results }: LoggedRewrite, { nameOf }: Numbers): string {
  const given = new Set(node.inputs);
  const inner = (value: Value, left: number): string => {
    const made = given.has(value) || left === 0 ? undefined : nodeOf(value);
    if (!made) return showOperand(value, nameOf);
    return showCall(made, (input) => inner(input, left - 1));
  };
  const after = results.map((value) => `${inner(value, depth)}: ${showType(value)}`);
  const where = node.name === "" ? "" : ` at ${describeNode(node)}`;
  return `${rule}${where}: ${showCall(node, nameOf)} -> ${after.join(", ")}`;
}
