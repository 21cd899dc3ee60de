/** Where the names of a file are read, and what its exporter wrote beside them. */
import type { NodeProto, ValueInfoProto } from "onnx-buf";
import { metadataOf } from "./proto.js";
import { subgraphsOf } from "./subgraphs.js";

export interface Use {
  readonly node: NodeProto;
  /** Which input of the node. */
  readonly index: number;
}

export class Uses {
  readonly #readers = new Map<string, Use[]>();
  readonly #producers = new Map<string, NodeProto>();
  readonly #infos: ReadonlyMap<string, ValueInfoProto>;

  constructor(nodes: Iterable<NodeProto>, infos: readonly ValueInfoProto[] = []) {
    this.#infos = new Map(infos.map((info) => [info.name, info]));
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

  /** What the exporter wrote about a value under a key. */
  noteOn(name: string, key: string): string | undefined {
    return metadataOf(this.#infos.get(name), key);
  }

  producerOf(name: string): NodeProto | undefined {
    return this.#producers.get(name);
  }
}
