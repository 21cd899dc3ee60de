/** Where the names of a file are read, and the notes that its exporter wrote about them. */
import type { NodeProto, TensorProto, ValueInfoProto } from "onnx-buf";
import { metadataOf } from "../proto.js";
import { decodeTensor, PrecisionNotes } from "../tensors.js";
import { subgraphsOf } from "./loops/subgraphs.js";

export interface Use {
  readonly node: NodeProto;
  /** The index of the node's input. */
  readonly index: number;
}

export class Uses {
  readonly #readers = new Map<string, Use[]>();
  readonly #producers = new Map<string, NodeProto>();
  readonly #infos: ReadonlyMap<string, ValueInfoProto>;
  readonly #stored = new Map<string, TensorProto>();

  constructor(
    nodes: Iterable<NodeProto>,
    infos: readonly ValueInfoProto[] = [],
    initializers: Iterable<TensorProto> = [],
  ) {
    for (const tensor of initializers) this.#stored.set(tensor.name, tensor);
    this.#infos = new Map(infos.map((info) => [info.name, info]));
    const left = [...nodes];
    for (const node of left) {
      node.input.forEach((name, index) => {
        const before = this.#readers.get(name);
        if (before) before.push({ node, index });
        else this.#readers.set(name, [{ node, index }]);
      });
      for (const name of node.output) this.#producers.set(name, node);
      for (const graph of subgraphsOf(node)) {
        left.push(...graph.node);
        for (const tensor of graph.initializer) this.#stored.set(tensor.name, tensor);
      }
    }
  }

  readersOf(name: string): readonly Use[] {
    return this.#readers.get(name) ?? [];
  }

  /** What the exporter noted about a value under a key. */
  noteOn(name: string, key: string): string | undefined {
    const places = [this.#infos.get(name), this.#stored.get(name), this.#producers.get(name)];
    return places.map((place) => metadataOf(place, key)).find((found) => found !== undefined);
  }

  /** Whether the file stores a tensor of this name. */
  isStored(name: string): boolean {
    return this.#stored.has(name);
  }

  /** The element of a stored tensor that holds one number. */
  numberOf(name: string): number | undefined {
    const constant = this.#producers.get(name);
    const held = constant?.opType === "Constant" ? constant.attribute.find((each) => each.name === "value")?.t : null;
    const proto = held ?? this.#stored.get(name);
    if (!proto || proto.dims.some((dim) => dim !== 1n) || proto.dataLocation !== 0) return undefined;
    return Number(decodeTensor(proto, `The number "${name}"`, new PrecisionNotes()).data[0]);
  }

  producerOf(name: string): NodeProto | undefined {
    return this.#producers.get(name);
  }
}
