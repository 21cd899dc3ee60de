/** Makes the values of a graph, node by node. */

import type { GraphProto, NodeProto } from "onnx-buf";
import type { BatchOver } from "../../autodiff/vmap.js";
import { defect, messageOf, PergradError, readvised } from "../../errors.js";
import { factorOf, isBatch } from "../../graph/dim.js";
import type { Attributes, Node, Value } from "../../graph/value.js";
import { leavesOf } from "../../graph/walk.js";
import { foldNode } from "../../interpret/fold.js";
import { isMissing } from "../../missing.js";
import type { Build } from "../../ops/build.js";
import { definitionOf } from "../../ops/registry.js";
import { option, sentence, type Words } from "../../sentence.js";
import { decodeAttributes } from "../attributes.js";
import { describeProto, invalidModel } from "../proto.js";
import type { PrecisionNotes } from "../tensors.js";
import { checkNode } from "./check-node.js";
import { constantTensor } from "./constant-node.js";
import { type FileNode, readNode } from "./file-node.js";
import type { IndexArithmetic } from "./loops/index-arithmetic.js";
import type { Mask } from "./masks/mask.js";
import { fileConstant, type Initializers } from "./parameters/initializers.js";
import { restated } from "./rare-nodes.js";
import type { Scope } from "./scope.js";
import { isSpecial } from "./special-operators.js";
import { readStructure, type Structure } from "./structure.js";
import { upgradeNode } from "./upgrade.js";

/** What all graphs of a file share. */
interface DecoderContext {
  readonly fileName: string;
  readonly build: Build;
  readonly opsetOf: (node: NodeProto) => number;
  readonly initializers: Initializers;
  readonly precision: PrecisionNotes;
  /** What is fed. */
  readonly inputs: ReadonlySet<Value>;
  /** Throws if some of the nodes have operators that pergrad does not know. */
  readonly refuse: (nodes: readonly NodeProto[]) => void;
  /** A last change to a node before it is made; `source` is the node in the file. */
  readonly adapt: (node: FileNode, source: NodeProto) => FileNode;
  /** The outputs of a node in another form; null to make it as it is. */
  readonly replace: (node: FileNode) => readonly Value[] | null;
  /** The number of samples that the file was written for, if it is read for any number. */
  readonly fixed?: number;
  /** Follows integers. */
  readonly indices: () => IndexArithmetic;
  /** The decoders of nodes that do not become one node of the graph; undefined for all others. */
  readonly special: (decoder: Decoder, proto: NodeProto, scope: Scope) => NodeDecoder | undefined;
  /** Whether the file is read for its shapes alone, in a batch of one size. */
  readonly shapesOnly: boolean;
  /** Called with each node's outputs. */
  readonly made: (source: NodeProto, outputs: readonly Value[]) => void;
  /** Rebuilds values with one more leading axis on some of the values they depend on. */
  readonly batchOver?: BatchOver;
}

/** Decodes a node in the decoder's place: puts its outputs into the scope. */
export type NodeDecoder = (decoder: Decoder, proto: NodeProto, scope: Scope) => void;

/** If graphs inside nodes have more nodes than this, with loops unrolled, the program would take too long to load. */
const maxInner = 20_000;

export class Decoder {
  #depth = 0;
  #inner = 0;
  #indices: IndexArithmetic | undefined;
  /** Whether nodes may be loops, branches or sequences, or compute with their results. */
  #special = false;
  /** Whether integers may count the samples, or be lists that grow with them. */
  #counting: boolean;

  /** The masks by which nodes picked elements so far. */
  readonly masks: Mask[] = [];

  constructor(readonly context: DecoderContext) {
    this.#counting = context.fixed !== undefined;
  }

  get indices(): IndexArithmetic {
    this.#indices ??= this.context.indices();
    return this.#indices;
  }

  /** Puts the values of a graph's nodes into its scope, which already holds its inputs and initializers. */
  decodeNodes(structure: Structure, scope: Scope): void {
    this.#special ||= structure.nodes.some(({ opType }) => isSpecial(opType));
    this.#counting ||= this.#special || structure.nodes.some(({ opType }) => opType === "Range");
    this.#depth++;
    try {
      for (const node of structure.nodes) this.#decodeNode(node, structure, scope);
    } finally {
      this.#depth--;
    }
  }

  /** Counts a node of a graph within a node, or a step of a loop. */
  countInner(): void {
    if (++this.#inner <= maxInner) return;
    const problem = `"${this.context.fileName}" unrolls to more than ${maxInner} nodes in its loops and branches`;
    throw new PergradError("TOO_LARGE", `${problem}; export it without them, or for shorter inputs.`);
  }

  /** The wiring of a graph inside a node. */
  structureOf(graph: GraphProto, around: Scope): Structure {
    const structure = readStructure(graph, this.context.fileName, (name) => around.has(name));
    this.context.refuse(structure.nodes);
    return structure;
  }

  /** The outputs of a node that stands in place of one of the file's. */
  made(op: string, inputs: readonly (Value | null)[], attributes: Attributes = {}, outputs = 1): readonly Value[] {
    return folded(this.context.build.node(op, inputs, attributes, outputs));
  }

  /**
   * A file that contradicts itself is an error at once; what pergrad cannot do is an error only when the result is
   * read.
   */
  #decodeNode(proto: NodeProto, structure: Structure, scope: Scope): void {
    if (this.#depth > 1) this.countInner();
    try {
      this.#make(proto, structure, scope);
    } catch (error) {
      if (isMissing(error)) throw error;
      const known = this.#withAdvice(asPergradError(error, proto), proto, scope);
      if (known.code === "INVALID_MODEL" || known.code === "INTERNAL") throw known;
      for (const name of proto.output) if (name !== "") scope.set(name, known);
    }
  }

  /** How to fix inputs that are the same for all samples, if a value that depends only on them must be known. */
  adviceOn(value: Value): Words | null {
    const inputs = leavesOf([value]).filter(({ source }) => source.kind === "input");
    if (inputs.length === 0 || !inputs.every((each) => this.context.inputs.has(each) && !each.shape.some(isBatch)))
      return null;
    const names = inputs.map(({ name }) => name);
    const listed = names.map((name) => `"${name}"`).join(", ");
    const values = option("fix", Object.fromEntries(names.map((name) => [name, "VALUE"])));
    return sentence`it depends on ${listed} alone; if that is the same at every run, give its value: ${values}`;
  }

  #withAdvice(error: PergradError, proto: NodeProto, scope: Scope): PergradError {
    if (error.code !== "UNKNOWN_SHAPE" || error.names("fix")) return error;
    for (const name of proto.input.slice(1)) {
      const value = name === "" || !scope.holds(name) ? null : scope.get(name);
      const advice = value && !value.known && value.source.kind !== "constant" ? this.adviceOn(value) : null;
      if (advice) return readvised(error, advice);
    }
    return error;
  }

  #make(proto: NodeProto, structure: Structure, scope: Scope): void {
    const special = this.#special ? this.context.special(this, proto, scope) : undefined;
    if (special) {
      special(this, proto, scope);
      return;
    }
    const node = readNode(proto, scope, decodeAttributes(proto, this.context.precision));
    if (node.op === "Constant" && node.domain === "") addConstant(node, scope);
    else this.#addNode(node, proto, structure, scope);
  }

  #addNode(written: FileNode, proto: NodeProto, structure: Structure, scope: Scope): void {
    const { context } = this;
    const { build, opsetOf, adapt } = context;
    const upgraded = upgradeNode(written, opsetOf(proto), build);
    checkNode(upgraded);
    const node = restated(adapt(upgraded, proto));
    const { op, domain, name, inputs, attributes } = node;
    const outputNames = outputsToMake(node, structure);
    const make = () => {
      const replaced = context.replace(node);
      const plain = replaced
        ? null
        : build.node(op, inputs, attributes, outputNames.length, { domain, name, outputNames });
      context.made(proto, plain?.outputs ?? replaced ?? []);
      return plain ? folded(plain) : (replaced ?? []);
    };
    const made = this.#counting ? this.indices.follow(node, make) : make();
    made.forEach((value, index) => {
      if (!value.shape.every((dim) => Number.isSafeInteger(factorOf(dim)) && factorOf(dim) >= 0)) {
        throw invalidModel(`${op} node "${name}" has an output of impossible size`);
      }
      const outputName = outputNames[index];
      if (outputName) scope.set(outputName, value);
    });
  }
}

/** The outputs of a node; constants if they depend on constants only. */
function folded(node: Node): readonly Value[] {
  return foldNode(node) ?? node.outputs;
}

function asPergradError(error: unknown, proto: NodeProto): PergradError {
  if (error instanceof PergradError) return error;
  const reason = messageOf(error);
  return defect(`reading ${describeProto(proto)} failed (${reason})`, error);
}

function addConstant(node: FileNode, scope: Scope): void {
  const [name] = node.outputNames;
  if (name !== undefined) scope.set(name, fileConstant(constantTensor(node), name));
}

function outputsToMake(node: FileNode, { read }: Structure): string[] {
  const names = [...node.outputNames];
  const optional = definitionOf(node)?.optionalOutputs ?? false;
  const droppable = (name: string) => name === "" || (optional && !read.has(name));
  while (names.length > 1 && droppable(names.at(-1) ?? "")) names.pop();
  return names;
}
