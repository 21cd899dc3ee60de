/** Where the names of a file are read. */
import type { NodeProto } from "onnx-buf";
import { subgraphsOf } from "./subgraphs.js";

export interface Use {
  readonly node: NodeProto;
  /** Which input of the node. */
  readonly index: number;
}

export class Uses {
  readonly #readers = new Map<string, Use[]>();
  readonly #producers = new Map<string, NodeProto>();

  constructor(nodes: Iterable<NodeProto>) {
    const left = [...nodes];
    for (const node of left) {
      node.input.forEach((name, index) => {
        const before = this.#readers.get(name);
        if (before) before.push({ node, index });
        else this.#readers.set(name, [{ node, index }]);
      });
      for (const name of node.output) this.#producers.set(name, node);
      for (const graph of subgraphsOf(node)) left.push(...graph.node);
    }
  }

  readersOf(name: string): readonly Use[] {
    return this.#readers.get(name) ?? [];
  }

  producerOf(name: string): NodeProto | undefined {
    return this.#producers.get(name);
  }
}
