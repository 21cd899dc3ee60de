/**
 * Prepares the nodes of classic machine learning (the domain ai.onnx.ml, as scikit-learn's exporter writes them). Their
 * weights, which are attributes, become initializers, and outputs that hold labels are moved behind those that hold
 * scores.
 */

import type { AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from "onnx-buf";
import { listed } from "../../../meant.js";
import { ElementType } from "../../enumerations.js";
import { graphProto, nodeProto, tensorProto } from "../../messages.js";
import { Names } from "../../names.js";
import { describeProto, invalidModel, nodeName } from "../../proto.js";
import type { Inlined } from "../functions.js";
import { definedNames, subgraphsOf, withSubgraphs } from "../loops/subgraphs.js";
import { mlDomain } from "./domain.js";

/** A graph whose weights are initializers, and what its reader may need to know. */
export interface Lifted extends Inlined {
  readonly notes: readonly string[];
}

/** For each operator: the attributes that are weights or statistics, in the order in which they become inputs after the first. */
const lifted: Readonly<Record<string, readonly string[]>> = {
  Imputer: ["imputed_value_floats"],
  LinearClassifier: ["coefficients", "intercepts"],
  LinearRegressor: ["coefficients", "intercepts"],
  Scaler: ["offset", "scale"],
};

/** Throws INVALID_MODEL if a node's weights do not fit its other attributes. */
export function liftWeights({ graph, opsets }: Inlined): Lifted {
  const names = new Names();
  claimAll(graph, names);
  const kept = new Map(opsets);
  const { graph: ordered, labels } = withLabelsLast(graph);
  return {
    graph: new Lifter(names, opsets, kept).graph(ordered),
    opsets: kept,
    notes: [...labelNotes(labels), ...graph.node.flatMap((node) => (isMl(node, "ZipMap") ? [zipMapNote(node)] : []))],
  };
}

function claimAll(graph: GraphProto, names: Names): void {
  for (const name of definedNames(graph)) names.claim(name);
  for (const node of graph.node) for (const inner of subgraphsOf(node)) claimAll(inner, names);
}

function isMl({ domain, opType }: NodeProto, op: string): boolean {
  return domain === mlDomain && opType === op;
}

class Lifter {
  constructor(
    readonly names: Names,
    readonly opsets: Inlined["opsets"],
    /** Receives the opsets of nodes that are rebuilt. */
    readonly kept: Map<NodeProto, number>,
  ) {}

  graph(graph: GraphProto): GraphProto {
    const initializer: TensorProto[] = [...graph.initializer];
    const node = graph.node.map((each) => this.#node(each, initializer));
    return graphProto.changed(graph, { node, initializer });
  }

  #node(node: NodeProto, initializer: TensorProto[]): NodeProto {
    const places = node.domain === mlDomain && Object.hasOwn(lifted, node.opType) ? lifted[node.opType] : undefined;
    if (places) return this.#lifted(node, places, initializer);
    return this.#withInner(node);
  }

  #lifted(node: NodeProto, places: readonly string[], initializer: TensorProto[]): NodeProto {
    const added = places.map((name) => {
      const values = attributeOf(node, name)?.floats ?? [];
      if (values.length === 0) return "";
      const own = this.names.fresh(`${nodeName(node)}.${name}`);
      const dims = dimsOf(node, name, values.length).map(BigInt);
      initializer.push(tensorProto.create({ name: own, dims, dataType: ElementType.FLOAT, floatData: [...values] }));
      return own;
    });
    const input = [node.input[0] ?? "", ...added];
    const attribute = node.attribute.filter(({ name }) => !places.includes(name));
    return nodeProto.changed(node, { input, attribute });
  }

  #withInner(node: NodeProto): NodeProto {
    const result = withSubgraphs(node, (graph) => this.graph(graph));
    const opset = this.opsets.get(node);
    if (opset !== undefined) this.kept.set(result, opset);
    return result;
  }
}

function attributeOf({ attribute }: NodeProto, name: string): AttributeProto | undefined {
  return attribute.find((each) => each.name === name);
}

/** Coefficients are a matrix, with a row for each target or class. */
function dimsOf(node: NodeProto, name: string, length: number): number[] {
  if (name !== "coefficients") return [length];
  const rows = rowsOf(node);
  if (rows > 0 && length % rows === 0) return [rows, length / rows];
  throw invalidModel(`${describeProto(node)} has ${length} coefficients, which do not make ${rows} rows`);
}

function rowsOf(node: NodeProto): number {
  if (node.opType === "LinearRegressor") return Number(attributeOf(node, "targets")?.i ?? 1n);
  const intercepts = attributeOf(node, "intercepts")?.floats.length ?? 0;
  return intercepts || labelsOf(node).length || 1;
}

function labelsOf(node: NodeProto): readonly (string | bigint)[] {
  const texts = attributeOf(node, "classlabels_strings")?.strings ?? [];
  const ints = attributeOf(node, "classlabels_ints") ?? attributeOf(node, "classlabels_int64s");
  return texts.length > 0 ? texts.map((text) => new TextDecoder().decode(text)) : (ints?.ints ?? []);
}

/** By default the loss uses the first output, so an output without a gradient must not come first. */
function withLabelsLast(graph: GraphProto): { readonly graph: GraphProto; readonly labels: readonly string[] } {
  const classifiers = graph.node.filter((node) => isMl(node, "LinearClassifier"));
  const labels = new Set(classifiers.map(({ output }) => output[0]));
  const [first] = graph.output;
  const behind = graph.output.filter((output) => holdsLabels(output, labels));
  if (!first || !behind.includes(first) || behind.length === graph.output.length) return { graph, labels: [] };
  const output = [...graph.output.filter((each) => !behind.includes(each)), ...behind];
  return { graph: graphProto.changed(graph, { output }), labels: behind.map(({ name }) => name) };
}

const whole: ReadonlySet<number> = new Set([
  ElementType.BOOL,
  ElementType.INT32,
  ElementType.INT64,
  ElementType.STRING,
]);

function holdsLabels({ name, type }: ValueInfoProto, labels: ReadonlySet<string | undefined>): boolean {
  const declared = type?.value.case === "tensorType" ? type.value.value.elemType : ElementType.UNDEFINED;
  return labels.has(name) || whole.has(declared);
}

function labelNotes(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const listing = listed(
    names.map((name) => `"${name}"`),
    4,
  );
  return [`The file's outputs that hold labels (${listing}) come after the others: labels have no gradient.`];
}

function zipMapNote(node: NodeProto): string {
  const order = labelsOf(node).map(String);
  const classes = order.length > 0 ? `, in the order of the classes ${listed(order, 6)}` : "";
  return `${describeProto(node)} makes a map for each sample; "${node.output[0]}" is the tensor of its scores instead${classes}.`;
}
