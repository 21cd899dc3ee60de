/**
 * Functions that a model defines: each call is replaced by the function's nodes, so that later stages see only
 * operators. An operator that pergrad knows keeps pergrad's definition.
 */
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from "onnx-buf";
import { attributeProto, graphProto, nodeProto, tensorProto, valueInfoProto } from "../messages.js";
import { Names } from "../names.js";
import { invalidModel, opsetOf, standardDomain } from "../proto.js";
import { definedNames } from "./loops/subgraphs.js";

/** A graph without calls, and the opset of each node that came out of a function. */
export interface Inlined {
  readonly graph: GraphProto;
  readonly opsets: ReadonlyMap<NodeProto, number>;
}

/** A model with more nodes than this was made to exhaust its reader: functions can double at every call. */
const mostNodes = 100_000;

/** The deepest nesting of calls: exporters nest them as modules are nested. */
const maxOpen = 200;

/** Throws INVALID_MODEL if functions call each other in a circle, or expand to an absurd number of nodes. */
export function inlineFunctions(
  model: ModelProto,
  graph: GraphProto,
  known: (domain: string, op: string) => boolean,
): Inlined {
  const functions = new Map(model.functions.map((each) => [keyOf(each.domain, each.name, each.overload), each]));
  return new Inliner(functions, graph, known).inline();
}

function keyOf(domain: string, name: string, overload: string): string {
  return JSON.stringify([standardDomain(domain), name, overload]);
}

/** How one call renames the names and attributes of a function's body. */
interface Call {
  readonly rename: (name: string) => string;
  /** The call's attributes, and the function's defaults; null outside functions. */
  readonly attributes: ReadonlyMap<string, AttributeProto> | null;
  /** Undefined outside functions. */
  readonly opset: number | undefined;
  readonly open: readonly FunctionProto[];
}

class Inliner {
  readonly #names = new Names();
  readonly #opsets = new Map<NodeProto, number>();
  #count = 0;

  constructor(
    readonly functions: ReadonlyMap<string, FunctionProto>,
    readonly graph: GraphProto,
    readonly known: (domain: string, op: string) => boolean,
  ) {}

  inline(): Inlined {
    for (const name of definedNames(this.graph)) this.#names.claim(name);
    const outside: Call = { rename: (name) => name, attributes: null, opset: undefined, open: [] };
    return { graph: this.#graph(this.graph, outside), opsets: this.#opsets };
  }

  /**
   * Inside a function, the names that an inner graph defines are made unique too, because an argument may have the same
   * name.
   */
  #graph(graph: GraphProto, call: Call): GraphProto {
    const info = (each: ValueInfoProto) => valueInfoProto.changed(each, { name: call.rename(each.name) });
    const tensor = (each: TensorProto) => tensorProto.changed(each, { name: call.rename(each.name) });
    return graphProto.changed(graph, {
      input: graph.input.map(info),
      initializer: graph.initializer.map(tensor),
      node: graph.node.flatMap((node) => this.#node(node, call)),
      output: graph.output.map(info),
    });
  }

  #node(node: NodeProto, call: Call): NodeProto[] {
    const domain = standardDomain(node.domain);
    const called = this.known(domain, node.opType)
      ? undefined
      : this.functions.get(keyOf(domain, node.opType, node.overload));
    const placed = this.#placed(node, call);
    return called ? this.#body(called, placed, call) : [placed];
  }

  /** A node with the names and attributes of the call that it is part of. */
  #placed(node: NodeProto, call: Call): NodeProto {
    if (++this.#count > mostNodes) throw invalidModel(`The model's functions come to more than ${mostNodes} nodes`);
    const placed = nodeProto.changed(node, {
      input: node.input.map(call.rename),
      output: node.output.map(call.rename),
      attribute: node.attribute.flatMap((attribute) => this.#attribute(attribute, call)),
    });
    if (call.opset !== undefined) this.#opsets.set(placed, call.opset);
    return placed;
  }

  /** A reference to an attribute that the call does not set is left out, as ONNX defines. */
  #attribute(attribute: AttributeProto, call: Call): AttributeProto[] {
    if (attribute.refAttrName !== "" && call.attributes) {
      const given = call.attributes.get(attribute.refAttrName);
      return given ? [attributeProto.changed(given, { name: attribute.name })] : [];
    }
    if (!attribute.g && attribute.graphs.length === 0) return [attribute];
    const { g, graphs } = attribute;
    const inner = graphs.map((graph) => this.#graph(graph, call));
    return [attributeProto.changed(attribute, { ...(g ? { g: this.#graph(g, call) } : {}), graphs: inner })];
  }

  #body(called: FunctionProto, node: NodeProto, caller: Call): NodeProto[] {
    if (caller.open.includes(called)) throw invalidModel(`The function "${called.name}" calls itself`);
    if (caller.open.length >= maxOpen) throw invalidModel(`The model's functions call each other ${maxOpen} deep`);
    const names = new Map<string, string>();
    called.output.forEach((name, k) => {
      const result = node.output[k];
      if (result) names.set(name, result);
    });
    for (const [k, name] of called.input.entries()) names.set(name, node.input[k] ?? "");
    const scope = node.name || node.output[0] || called.name;
    const rename = (name: string): string => {
      if (name === "") return "";
      const found = names.get(name) ?? this.#names.fresh(`${scope}/${name}`);
      names.set(name, found);
      return found;
    };
    const attributes = new Map([...called.attributeProto, ...node.attribute].map((given) => [given.name, given]));
    const call: Call = { rename, attributes, opset: opsetOf(called.opsetImport), open: [...caller.open, called] };
    const body = called.node.flatMap((inner) => {
      const name = inner.name && `${scope}/${inner.name}`;
      return this.#node(nodeProto.changed(inner, { name }), call);
    });
    return [...body, ...this.#handedThrough(called, node, call)];
  }

  /** An output of a function that is one of its inputs is passed through. */
  #handedThrough(called: FunctionProto, node: NodeProto, call: Call): NodeProto[] {
    return called.output.flatMap((name, k) => {
      const result = node.output[k];
      if (!result || !called.input.includes(name)) return [];
      const input = node.input[called.input.indexOf(name)] ?? "";
      const identity = nodeProto.create({ opType: "Identity", input: [input], output: [result] });
      if (call.opset !== undefined) this.#opsets.set(identity, call.opset);
      return [identity];
    });
  }
}
