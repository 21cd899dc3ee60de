/** Reads an ONNX file into a graph of opset 21. */
import type { ModelProto, NodeProto } from "onnx-buf";
import { PergradError } from "../errors.js";
import { factorOf } from "../graph/dim.js";
import { constantValue, type Graph, leaf, type Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { foldNode } from "../ops/fold.js";
import { isFloat, type Tensor } from "../tensor.js";
import { asWritten } from "./as-written.js";
import { decodeAttributes } from "./attributes.js";
import { constantTensor } from "./constant.js";
import { decodeInput, type InputOptions } from "./inputs.js";
import { invalidModel, parseModel } from "./proto.js";
import { describeProto, nodeName, readStructure, type Structure } from "./structure.js";
import { decodeTensor, PrecisionNotes } from "./tensors.js";
import { checkOpset, isRenamed, upgradeNode } from "./upgrade.js";
import type { FileNode } from "./upgrades/rule.js";

export interface DecodeOptions extends InputOptions {
  /** For messages. */
  readonly fileName: string;
  readonly build: Build;
}

export interface DecodedModel {
  readonly graph: Graph;
  /** The values of the graph's parameters, by name. */
  readonly parameters: Record<string, Tensor>;
  /** What the user may want to know of: precision lost, initializers not used. */
  readonly notes: string[];
}

/**
 * Throws NOT_ONNX, INVALID_MODEL, UNSUPPORTED_OP, UNKNOWN_SHAPE, and what the shape rules throw. The axis
 * that holds the samples becomes the batch N, whether or not the file fixes its size.
 */
export function decodeModel(source: Uint8Array | ModelProto, options: DecodeOptions): DecodedModel {
  const { fileName } = options;
  const model = source instanceof Uint8Array ? parseModel(source, fileName) : source;
  const opset = opsetOf(model);
  checkOpset(opset, fileName);
  if (!model.graph) throw invalidModel(`"${fileName}" holds no graph`);
  const structure = readStructure(model.graph, fileName);
  checkNames(structure, options);
  refuseUnknown(structure.nodes, opset, options);
  return new Decoder(structure, opset, options).decode();
}

function opsetOf(model: ModelProto): number {
  const own = model.opsetImport.find(({ domain }) => standardDomain(domain) === "");
  return Number(own?.version ?? 0n);
}

/** "ai.onnx" is another name of the default domain. */
function standardDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

/** Sample axes may be given for inputs and outputs. */
function checkNames({ inputs, outputs }: Structure, { fileName, sampleAxes = {} }: DecodeOptions): void {
  const names = [...inputs.map(({ name }) => name), ...outputs];
  const unknown = Object.keys(sampleAxes).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `A sample axis is given for "${unknown}", but the inputs and outputs of "${fileName}" are ${names.join(", ")}.`,
  );
}

/** All unknown operators at once, so that a user learns of them in one go. */
function refuseUnknown(nodes: readonly NodeProto[], opset: number, { build, fileName }: DecodeOptions): void {
  const unknown = new Map<string, string[]>();
  for (const node of nodes) {
    const domain = standardDomain(node.domain);
    const standard = domain === "" && (node.opType === "Constant" || isRenamed(node.opType, opset));
    if (standard || build.lookup(domain, node.opType)) continue;
    const op = domain ? `${domain}.${node.opType}` : node.opType;
    unknown.set(op, [...(unknown.get(op) ?? []), nodeName(node)]);
  }
  if (unknown.size === 0) return;
  const list = [...unknown].map(([op, names]) => {
    const more = names.length > 1 ? ` and ${names.length - 1} more` : "";
    return `${op} (node "${names[0]}"${more})`;
  });
  const plural = unknown.size > 1 ? "operators that pergrad does not know" : "an operator that pergrad does not know";
  throw new PergradError("UNSUPPORTED_OP", `"${fileName}" uses ${plural}: ${list.join(", ")}.`);
}

/**
 * Floating-point inputs that set up an operator, or that it tracks and does not train. An initializer that
 * feeds one is a constant, all others are parameters.
 */
const configuration: ReadonlyMap<string, readonly number[]> = new Map([
  ["BatchNormalization", [3, 4]],
  ["Clip", [1, 2]],
  ["Dropout", [1]],
  ["OneHot", [2]],
  ["Pad", [2]],
  ["Range", [0, 1, 2]],
  ["Resize", [1, 2]],
  ["Upsample", [1]],
]);

/** Operators whose last outputs are optional: left out where nothing reads them. */
const optionalOutputs = new Set([
  "BatchNormalization",
  "Dropout",
  "GRU",
  "LayerNormalization",
  "LSTM",
  "MaxPool",
  "RNN",
]);

class Decoder {
  private readonly values = new Map<string, Value>();
  private readonly parameters = new Map<string, Tensor>();
  private readonly precision = new PrecisionNotes();

  constructor(
    private readonly structure: Structure,
    private readonly opset: number,
    private readonly options: DecodeOptions,
  ) {}

  decode(): DecodedModel {
    const { structure, values } = this;
    const inputs = structure.inputs.map((proto) => decodeInput(proto, this.options, this.precision));
    for (const input of inputs) values.set(input.name, input);
    const unused = this.decodeInitializers();
    for (const node of structure.nodes) this.decodeNode(node);
    return {
      graph: {
        inputs,
        parameters: [...this.parameters.keys()].map((name) => this.valueOf(name)),
        outputs: structure.outputs.map((name) => ({ name, value: this.valueOf(name) })),
      },
      parameters: Object.fromEntries(this.parameters),
      notes: [...this.precision.list(), ...unused.map((name) => `The initializer "${name}" is not used.`)],
    };
  }

  private valueOf(name: string): Value {
    const value = this.values.get(name);
    if (value) return value;
    throw new PergradError(
      "UNSUPPORTED_OP",
      `The output "${name}" of its node is not among those that pergrad computes.`,
    );
  }

  /** Returns the names of those that nothing reads. */
  private decodeInitializers(): string[] {
    const fixed = new Set(
      this.structure.nodes.flatMap((node) => (configuration.get(node.opType) ?? []).map((index) => node.input[index])),
    );
    // A single exponent is part of a formula: nobody trains the 2 of a square.
    const exponents = new Set(
      this.structure.nodes.flatMap((node) => (node.opType === "Pow" && node.input[1] ? [node.input[1]] : [])),
    );
    const unused: string[] = [];
    for (const [name, proto] of this.structure.initializers) {
      if (!this.structure.read.has(name)) {
        unused.push(name);
        continue;
      }
      const tensor = decodeTensor(proto, `The initializer "${name}"`, this.precision);
      const exponent = tensor.data.length === 1 && exponents.has(name);
      const trainable = isFloat(tensor.dtype) && !fixed.has(name) && !exponent;
      if (trainable) this.parameters.set(name, tensor);
      const type = { dtype: tensor.dtype, shape: tensor.dims };
      this.values.set(name, trainable ? leaf(name, type, { kind: "parameter" }) : constantValue(tensor, name));
    }
    return unused;
  }

  private decodeNode(proto: NodeProto): void {
    try {
      const attributes = decodeAttributes(proto, describeProto(proto), this.precision);
      const node: FileNode = {
        op: proto.opType,
        domain: standardDomain(proto.domain),
        name: nodeName(proto),
        inputs: proto.input.map((name) => (name === "" ? null : this.valueOf(name))),
        attributes,
        outputs: proto.output.length,
        outputNames: proto.output,
      };
      if (node.op === "Constant" && node.domain === "") this.addConstant(node);
      else this.addNode(upgradeNode(node, this.opset, this.options.build));
    } catch (error) {
      if (error instanceof PergradError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw invalidModel(`${describeProto(proto)} makes no sense (${reason})`, error);
    }
  }

  private addConstant(node: FileNode): void {
    const [name] = node.outputNames;
    if (name !== undefined) this.values.set(name, floatsAsWritten(constantTensor(node), name));
  }

  private addNode(node: FileNode): void {
    const outputNames = this.outputsToMake(node);
    const { op, domain, name, inputs, attributes } = node;
    const made = this.options.build.node(op, inputs, attributes, outputNames.length, { domain, name, outputNames });
    const folded = foldNode(made) ?? made.outputs;
    folded.forEach((value, index) => {
      if (!value.shape.every((dim) => Number.isSafeInteger(factorOf(dim)) && factorOf(dim) >= 0)) {
        throw invalidModel(`${op} node "${name}" has an output of impossible size`);
      }
      const outputName = outputNames[index];
      if (outputName) this.values.set(outputName, value);
    });
  }

  private outputsToMake({ op, outputNames }: FileNode): string[] {
    const names = [...outputNames];
    const droppable = (outputName: string) =>
      outputName === "" || (optionalOutputs.has(op) && !this.structure.read.has(outputName));
    while (names.length > 1 && droppable(names.at(-1) ?? "")) names.pop();
    return names;
  }
}

/** A few floats in a Constant node are numbers that somebody wrote; a long row of them was computed. */
const mostWritten = 16;

function floatsAsWritten(tensor: Tensor, name: string): Value {
  if (tensor.dtype !== "float32" || tensor.data.length > mostWritten) return constantValue(tensor, name);
  const data = Float64Array.from(tensor.data as Float32Array, asWritten);
  return constantValue({ dtype: "float64", dims: tensor.dims, data }, name, tensor.dtype);
}
