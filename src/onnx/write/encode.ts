/** Writes a graph as an ONNX file of opset 21. */
import type { AttributeProto, GraphProto, NodeProto, TypeProto, ValueInfoProto } from "onnx-buf";
import { defect, PergradError } from "../../errors.js";
import { isBatch, sameShape, showDim, showShape } from "../../graph/dim.js";
import type { Attributes, Node, Value, ValueType } from "../../graph/value.js";
import { leavesOf, nodesBefore } from "../../graph/walk.js";
import { definitionOf } from "../../ops/registry.js";
import { scanParts } from "../../ops/rules/scan-parts.js";
import { nth } from "../../present.js";
import type { DType, Tensor } from "../../tensor/tensor.js";
import { encodeAttributes } from "../attributes.js";
import { Kind } from "../enumerations.js";
import { type Init, modelProto } from "../messages.js";
import { Names } from "../names.js";
import { elementTypeOf, roleKey } from "../proto.js";
import { Constants } from "./constants.js";
import { Dimensions, neededNodes, operandSource, reshapeTarget } from "./dimensions.js";
import type { Storage } from "./external-data.js";
import { withinOpset } from "./opset.js";
import { refuseHuge } from "./sizes.js";

export interface EncodableProgram {
  /** Leaves, in the order in which the file lists them. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
  /**
   * The values of the outputs in the order in which the file's nodes compute them. Default: the order of the outputs.
   */
  readonly order?: readonly Value[];
  /** Parameters to store in the file, by name. All other parameters become inputs, listed after those of `inputs`. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  /**
   * Whether each stored tensor is a parameter or a buffer, written for readers of the file. Tensors named here are
   * stored even if nothing reads them.
   */
  readonly roles?: ReadonlyMap<string, "parameter" | "buffer">;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly doc?: string;
}

const opset = 21n;
const irVersion = 10n;

/** @param external takes the parameters that are stored; without it they are stored in the file itself */
export function encodeModel(program: EncodableProgram, external?: Storage): Uint8Array {
  return new Encoder(writable(program), external).encode();
}

/** The same, with a name for every node, and with the names that the values have in the file. */
export function encodeNamed(program: EncodableProgram): {
  readonly model: Uint8Array;
  readonly names: ReadonlyMap<Value, string>;
} {
  const encoder = new Encoder(writable(program), undefined, true);
  return { model: encoder.encode(), names: encoder.names };
}

/** The same program, expressed with operators that files can hold. */
function writable(program: EncodableProgram): EncodableProgram {
  const { outputs, order = [] } = program;
  const before = [...outputs.map(({ value }) => value), ...order];
  const within = withinOpset(before);
  if (within.every((value, k) => value === before[k])) return program;
  return {
    ...program,
    outputs: outputs.map((output, k) => ({ ...output, value: nth(within, k) })),
    ...(program.order ? { order: within.slice(outputs.length) } : {}),
  };
}

class Encoder {
  readonly #taken = new Names();
  /** Keeps node names unique, as runtimes refuse duplicates. */
  readonly #nodeNames = new Names();
  readonly #constants: Constants;
  readonly #nameOf = new Map<Value, string>();
  readonly #nodes: Init<NodeProto>[] = [];
  /** The list that receives nodes: the file's own graph, or the body being written. */
  #current = this.#nodes;
  /** The values that are read by something. */
  #read: ReadonlySet<Value> = new Set();
  readonly #domains = new Set<string>();
  readonly #types = new Map<string, Init<TypeProto>>();
  readonly #inputs: readonly Value[];
  readonly #dimensions: Dimensions;

  constructor(
    private readonly program: EncodableProgram,
    external: Storage | undefined,
    /** Whether a node without a name is named after its first output. */
    private readonly namesAll = false,
  ) {
    this.#constants = new Constants(this.#taken, external);
    this.#inputs = this.#takeInputs();
    this.#dimensions = new Dimensions(this.#inputs, {
      constant: (values, dims) => this.#constants.ints(values, dims),
      node: (op, inputs, attributes, wanted) => this.#atTop(() => this.#addNode(op, inputs, attributes, wanted)),
      nameOf: (input) => this.#nameOf.get(input) ?? input.name,
    });
  }

  /** The names of the values in the file, once it has been encoded. */
  get names(): ReadonlyMap<Value, string> {
    return this.#nameOf;
  }

  encode(): Uint8Array {
    const { outputs, metadata = {}, doc = "" } = this.program;
    const copies = this.#nameOutputs();
    const results = outputs.map(({ value }) => value);
    const nodes = neededNodes(nodesBefore(this.program.order ?? results), results);
    refuseHuge(nodes);
    this.#read = valuesRead(nodes, results);
    for (const node of nodes) this.#encodeNode(node);
    for (const { name, value } of copies)
      this.#push("Identity", "", "", [this.#nameOf.get(value) ?? this.#operand(value)], [name], {});
    return modelProto.encode({
      irVersion,
      producerName: "pergrad",
      docString: doc,
      opsetImport: [{ domain: "", version: opset }, ...[...this.#domains].map((domain) => ({ domain, version: 1n }))],
      metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      graph: {
        name: "pergrad",
        node: [...this.#constants.nodes, ...this.#nodes],
        initializer: this.#constants.initializers,
        input: this.#inputs.map((value) => valueInfo(value.name, value)),
        valueInfo: [...this.#roleInfos(), ...this.#intermediate(nodes)],
        output: outputs.map(({ name, value }) => valueInfo(name, value)),
      },
    });
  }

  /** Names the inputs and the stored tensors, whose names are kept unchanged. */
  #takeInputs(): Value[] {
    const { inputs, outputs, parameters = {} } = this.program;
    const listed = new Set(inputs);
    const reached = leavesOf(outputs.map(({ value }) => value)).filter((value) => !listed.has(value));
    const more: Value[] = [];
    for (const value of inputs) this.#nameOf.set(value, this.#claim(value.name));
    for (const value of reached) {
      if (value.source.kind === "input") {
        throw new PergradError(
          "MISSING_TENSOR",
          `The program reads the input "${value.name}", which is not among its inputs; add it to these.`,
        );
      }
      if (value.source.kind !== "parameter") continue;
      this.#nameOf.set(value, this.#claim(value.name));
      const stored = Object.hasOwn(parameters, value.name) ? parameters[value.name] : undefined;
      if (stored) this.#constants.store(value.name, fitting(value, stored));
      else more.push(value);
    }
    this.#storeUnread();
    return [...inputs, ...more];
  }

  #storeUnread(): void {
    const { roles = new Map<string, string>(), parameters = {} } = this.program;
    const taken = new Set(this.#constants.initializers.map(({ name }) => name));
    for (const name of roles.keys()) {
      const tensor = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
      if (tensor && !taken.has(name)) this.#constants.store(this.#claim(name), tensor);
    }
  }

  /** Notes for each stored tensor whether it is a parameter or a buffer. */
  #roleInfos(): Init<ValueInfoProto>[] {
    const { roles = new Map<string, string>(), parameters = {} } = this.program;
    return [...roles].flatMap(([name, role]) => {
      const tensor = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
      if (!tensor) return [];
      const info = valueInfo(name, { dtype: tensor.dtype, shape: tensor.dims });
      return [{ ...info, metadataProps: [{ key: roleKey, value: role }] }];
    });
  }

  #claim(name: string): string {
    if (name !== "" && this.#taken.claim(name)) return name;
    const problem = name === "" ? "one has none" : `"${name}" occurs twice`;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The inputs, parameters and outputs of a program need names of their own, but ${problem}; rename one of them.`,
    );
  }

  /** Names the outputs. Returns those that need a copy because their value already has another name. */
  #nameOutputs(): EncodableProgram["outputs"] {
    return this.program.outputs.filter(({ name, value }) => {
      const before = this.#nameOf.get(value);
      if (before === name && value.source.kind !== "node") return false;
      this.#claim(name);
      if (before !== undefined || value.source.kind !== "node") return true;
      this.#nameOf.set(value, name);
      return false;
    });
  }

  #encodeNode(node: Node): void {
    const outputs = node.outputs.map((value, index) => {
      const name =
        this.#nameOf.get(value) ?? this.#taken.fresh(value.name || `${node.op}${index > 0 ? `_output${index}` : ""}`);
      this.#nameOf.set(value, name);
      return name;
    });
    if (definitionOf(node)?.body) {
      this.#encodeScan(node);
      return;
    }
    const target = reshapeTarget(node);
    const inputs = node.inputs.map((input, index) => {
      if (!input) return "";
      return target && index === 1 ? this.#constants.ints(target) : this.#operand(input);
    });
    this.#push(
      node.op,
      node.domain,
      node.name,
      inputs,
      outputs,
      target ? withoutAllowZero(node.attributes) : node.attributes,
    );
  }

  /** A scan's body refers by name to the values that it captures, and returns only results that are read. */
  #encodeScan(node: Node): void {
    const { body, states, scans, inputDirections, outputDirections } = scanParts(node);
    const read = this.#read;
    const fed = body.inputs.slice(0, states + scans);
    for (const [k, value] of body.inputs.entries()) {
      const outer = node.inputs[k];
      this.#nameOf.set(
        value,
        k < fed.length || !outer ? this.#taken.fresh(value.name || "step") : this.#operand(outer),
      );
    }
    const inner = [...body.outputs, ...body.inputs.slice(0, states)];
    const given = inner.flatMap((value, k) => {
      const output = node.outputs[k];
      return output && (k < states || read.has(output))
        ? [{ value, output, direction: outputDirections[k - states] ?? 0 }]
        : [];
    });
    const inputs = node.inputs.slice(0, fed.length).map((input) => (input ? this.#operand(input) : ""));
    const results = given.map(({ value }) => value);
    const graph = this.#bodyGraph(fed, results);
    const attributes = {
      num_scan_inputs: scans,
      scan_input_directions: inputDirections,
      scan_output_directions: given.slice(states).map(({ direction }) => direction),
    };
    const names = given.map(({ output }) => this.#nameOf.get(output) ?? "");
    this.#push(node.op, node.domain, node.name, inputs, names, attributes, [
      { name: "body", type: Kind.GRAPH, g: graph },
    ]);
  }

  #bodyGraph(inputs: readonly Value[], results: readonly Value[]): Init<GraphProto> {
    const [read, current] = [this.#read, this.#current];
    const nodes = neededNodes(nodesBefore(results), results);
    this.#read = valuesRead(nodes, results);
    this.#current = [];
    for (const node of nodes) this.#encodeNode(node);
    // Each result needs a name of its own, although it may be passed on unchanged or returned twice.
    const computed = new Set(nodes.flatMap((node) => node.outputs));
    const outputs = results.map((value, k) =>
      computed.has(value) && results.indexOf(value) === k
        ? this.#operand(value)
        : this.#addNode("Identity", [this.#operand(value)], {}, "result"),
    );
    const graph = {
      name: "body",
      node: this.#current,
      input: inputs.map((value) => valueInfo(this.#nameOf.get(value) ?? "", value)),
      valueInfo: this.#intermediate(nodes),
      output: results.map((value, k) => valueInfo(outputs[k] ?? "", value)),
    };
    this.#current = current;
    this.#read = read;
    return graph;
  }

  /** Nodes created for all graphs belong to the outermost one. */
  #atTop<T>(make: () => T): T {
    const current = this.#current;
    this.#current = this.#nodes;
    const made = make();
    this.#current = current;
    return made;
  }

  /**
   * The shapes of the values that nodes compute. The runtime cannot infer all of them. It checks the shapes that it
   * knows, and lets those tensors share memory. Its search for shared memory takes time quadratic in the number of
   * tensors of unknown shape: a chain of 1500 Softmax and its backward pass loads in 0.7 s with shapes, and in 19 s
   * without.
   */
  #intermediate(nodes: readonly Node[]): Init<ValueInfoProto>[] {
    const described = new Set(this.program.outputs.map(({ name }) => name));
    const infos: Init<ValueInfoProto>[] = [];
    for (const { outputs } of nodes) {
      for (const value of outputs) {
        const name = this.#nameOf.get(value) ?? "";
        if (name !== "" && !described.has(name) && this.#read.has(value))
          infos.push({ name, type: this.#typeOf(value) });
      }
    }
    return infos;
  }

  /** Creates each type once, as many values have equal types. */
  #typeOf(value: Value): Init<TypeProto> {
    const key = `${value.dtype}${showShape(value.shape)}`;
    const type = this.#types.get(key) ?? typeOf(value);
    this.#types.set(key, type);
    return type;
  }

  /** The name by which a node reads a value. */
  #operand(value: Value): string {
    const source = operandSource(value);
    if (source.kind === "constant") return this.#constants.add(rounded(source.tensor, value.dtype), value.name);
    if (source.kind === "dims") return this.#dimensions.operand(source.dims, source.scalar);
    const name = this.#nameOf.get(value);
    if (name === undefined) throw defect(`the value "${value.name}" is read before it is computed`);
    return name;
  }

  #addNode(op: string, inputs: readonly string[], attributes: Attributes, wanted: string): string {
    const output = this.#taken.fresh(wanted);
    this.#push(op, "", "", inputs, [output], attributes);
    return output;
  }

  #push(
    op: string,
    domain: string,
    name: string,
    inputs: readonly string[],
    output: string[],
    attributes: Attributes,
    graphs: readonly Init<AttributeProto>[] = [],
  ): void {
    if (domain !== "") this.#domains.add(domain);
    const wanted = name === "" && this.namesAll ? (output[0] ?? op) : name;
    const unique = wanted === "" ? "" : this.#nodeNames.fresh(wanted);
    const input = [...inputs];
    while (input.at(-1) === "") input.pop();
    const attribute = [...encodeAttributes(attributes), ...graphs];
    this.#current.push({ opType: op, domain, name: unique, input, output, attribute });
  }
}

function valuesRead(nodes: readonly Node[], outputs: readonly Value[]): Set<Value> {
  const read = new Set(outputs);
  for (const { inputs } of nodes) for (const input of inputs) if (input) read.add(input);
  return read;
}

/** The target contains no zeros, so allowzero has no effect; together with -1 it would not be allowed. */
function withoutAllowZero(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => name !== "allowzero"));
}

function fitting(value: Value, stored: Tensor): Tensor {
  if (stored.dtype !== value.dtype) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `The parameter "${value.name}" is ${value.dtype}, but the values given for it are ${stored.dtype}.`,
    );
  }
  if (!sameShape(value.shape, stored.dims)) {
    const shapes = `${showShape(value.shape)}, but the values given for it are ${showShape(stored.dims)}`;
    throw new PergradError("SHAPE_MISMATCH", `The parameter "${value.name}" is ${shapes}.`);
  }
  return stored;
}

function valueInfo(name: string, type: ValueType): { readonly name: string; readonly type: Init<TypeProto> } {
  return { name, type: typeOf(type) };
}

function typeOf({ dtype, shape }: ValueType): Init<TypeProto> {
  const dim = shape.map((size) =>
    isBatch(size)
      ? { value: { case: "dimParam" as const, value: showDim(size) } }
      : { value: { case: "dimValue" as const, value: BigInt(size) } },
  );
  const tensorType = { elemType: elementTypeOf(dtype), shape: { dim } };
  return { value: { case: "tensorType", value: tensorType } };
}

/** Rounds float constants, which are held in higher precision than the graph computes in: see `constantValue`. */
function rounded(tensor: Tensor, dtype: DType): Tensor {
  if (tensor.dtype !== "float64" || dtype !== "float32") return tensor;
  return { dtype, dims: tensor.dims, data: Float32Array.from(tensor.data as Float64Array) };
}
