/**
 * The wiring of a file's graph: resolves names, drops dead nodes and sorts the nodes into an order in which they can
 * run.
 */
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import { describeProto, invalidModel } from "../proto.js";
import { namesRead } from "./loops/subgraphs.js";

export interface Structure {
  /** What must be fed: the graph's inputs, without those that are also initializers (old files list them as both). */
  readonly inputs: readonly ValueInfoProto[];
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** The nodes that an output depends on, each after the nodes that it reads. */
  readonly nodes: readonly NodeProto[];
  readonly outputs: readonly string[];
  /** Every name that one of `nodes` reads, and the names of the outputs. */
  readonly read: ReadonlySet<string>;
}

/**
 * @throws PergradError INVALID_MODEL if names are undefined or defined twice, or if nodes read their own results. A
 * graph inside a node also reads what is defined `around` it.
 */
export function readStructure(
  graph: GraphProto,
  fileName: string,
  around: (name: string) => boolean = () => false,
): Structure {
  const sparse = graph.sparseInitializer[0]?.values?.name;
  if (sparse !== undefined) {
    throw new PergradError(
      "UNSUPPORTED_OP",
      `"${fileName}" stores the initializer "${sparse}" as a sparse tensor, which pergrad does not read; store it as a dense one.`,
    );
  }
  const initializers = new Map<string, TensorProto>();
  for (const tensor of graph.initializer) {
    if (initializers.has(tensor.name)) throw definedTwice(fileName, tensor.name);
    initializers.set(tensor.name, tensor);
  }
  const inputs = graph.input.filter(({ name }) => !initializers.has(name));
  const producers = producersOf(graph, fileName, inputs, initializers);
  const outputs = graph.output.map(({ name }) => name);
  if (outputs.length === 0) throw invalidModel(`"${fileName}" has no outputs`);
  const repeated = outputs.find((name, k) => outputs.indexOf(name) !== k);
  if (repeated !== undefined) throw definedTwice(fileName, repeated);
  const defined = new Set([...inputs.map(({ name }) => name), ...initializers.keys(), ...producers.keys()]);
  const isDefined = (name: string) => defined.has(name) || around(name);
  const missing = outputs.find((name) => !isDefined(name));
  if (missing !== undefined) throw invalidModel(`"${fileName}" has an output "${missing}" that nothing in it computes`);
  const nodes = sortedNodes(outputs, producers, isDefined);
  const read = new Set([...outputs, ...nodes.flatMap(namesRead)]);
  return { inputs, initializers, nodes, outputs, read };
}

function definedTwice(fileName: string, name: string): PergradError {
  return invalidModel(`"${fileName}" defines "${name}" more than once`);
}

/** The node that produces each name. */
function producersOf(
  graph: GraphProto,
  fileName: string,
  inputs: readonly ValueInfoProto[],
  initializers: ReadonlyMap<string, TensorProto>,
): Map<string, NodeProto> {
  const taken = new Set(initializers.keys());
  for (const { name } of inputs) {
    if (taken.has(name)) throw definedTwice(fileName, name);
    taken.add(name);
  }
  if (taken.has("")) throw invalidModel(`"${fileName}" has an input or initializer without a name`);
  const producers = new Map<string, NodeProto>();
  for (const node of graph.node) {
    for (const name of node.output) {
      if (name === "") continue;
      if (taken.has(name) || producers.has(name)) throw definedTwice(fileName, name);
      producers.set(name, node);
    }
  }
  return producers;
}

/** The nodes that the given outputs depend on, each after the nodes that it reads. */
export function nodesFor(outputs: readonly string[], { nodes }: Structure): NodeProto[] {
  const needed = new Set(outputs);
  const found = [...nodes].reverse().filter((node) => {
    if (!node.output.some((name) => needed.has(name))) return false;
    for (const name of namesRead(node)) needed.add(name);
    return true;
  });
  return found.reverse();
}

/** Searches depth first without recursion, as graphs may be deep. */
function sortedNodes(
  outputs: readonly string[],
  producers: ReadonlyMap<string, NodeProto>,
  isDefined: (name: string) => boolean,
): NodeProto[] {
  const order: NodeProto[] = [];
  const state = new Map<NodeProto, "open" | "done">();
  const path: { readonly node: NodeProto; readonly reads: readonly string[]; next: number }[] = [];
  const enter = (node: NodeProto | undefined) => {
    if (!node || state.get(node) === "done") return;
    if (state.get(node) === "open") throw invalidModel(`${describeProto(node)} depends on its own output`);
    state.set(node, "open");
    path.push({ node, reads: namesRead(node), next: 0 });
  };
  for (const output of outputs) {
    enter(producers.get(output));
    for (let step = path.at(-1); step; step = path.at(-1)) {
      const name = step.reads[step.next++];
      if (name === undefined) {
        state.set(step.node, "done");
        order.push(step.node);
        path.pop();
      } else if (name !== "") {
        if (!isDefined(name))
          throw invalidModel(`${describeProto(step.node)} reads "${name}", which nothing in the model defines`);
        enter(producers.get(name));
      }
    }
  }
  return order;
}
