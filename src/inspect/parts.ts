/** The part of a program that each node belongs to: the forward pass, the loss, the backward pass, or a want. */

import type { OnRewrite } from "../graph/rewritten.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { grouped } from "../grouped.js";
import type { Observer, Stage } from "./observe.js";

/** Nodes that check whether gradients are finite, and nodes that pack results: no want asks for these. */
const watching = "watching for NaN";
const packing = "handing over";

/**
 * Follows nodes through a compile. A node belongs to the first stage that contains it, or to the wants that it leads
 * to, by the user's names for them; nodes that a rule makes belong to the part of the node that it replaced.
 */
export class PartsOfNodes implements Observer {
  readonly #parts = new Map<Node, string>();
  /** Values whose nodes already have a part: the search stops at them. */
  readonly #known = { has: (value: Value) => this.#of(value) !== undefined };

  readonly onStage = ({ name, graph: { outputs } }: Stage): void => {
    const all = outputs.map(({ value }) => value);
    if (name === "traced") this.#take(all, "forward");
    if (name === "objective") this.#take(all, "loss");
    if (name === "gradient") this.#take(all, "backward");
    if (name === "planned") this.#takeWanted(outputs);
    if (name === "scheduled") this.#take(all, packing);
  };

  readonly onRewrite: OnRewrite = ({ node, results }) => {
    const part = this.#parts.get(node);
    if (part !== undefined) this.#take(results, part);
  };

  /** The part of the node that computes these values; if there are several, the last one known. */
  partOf(values: readonly Value[]): string {
    const parts = values.flatMap((value) => this.#of(value) ?? []);
    return parts.at(-1) ?? "other";
  }

  #of(value: Value): string | undefined {
    const node = nodeOf(value);
    return node && this.#parts.get(node);
  }

  #take(values: readonly Value[], part: string): void {
    for (const node of nodesBefore(values, this.#known)) this.#parts.set(node, part);
  }

  #takeWanted(outputs: Stage["graph"]["outputs"]): void {
    const wants = new Map<Node, Set<string>>();
    for (const [want, values] of grouped(outputs.map(({ name, value }) => [name.split("/", 1)[0] ?? "", value]))) {
      for (const node of nodesBefore(values, this.#known)) wants.set(node, (wants.get(node) ?? new Set()).add(want));
    }
    for (const [node, names] of wants) {
      const asked = [...names].filter((name) => name !== "");
      this.#parts.set(node, asked.length === 0 ? watching : asked.join(" + "));
    }
  }
}
