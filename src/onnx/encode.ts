/** Writes a graph as an ONNX file of opset 21. */
import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type NodeProto, NodeProtoSchema, type ValueInfoProto, ValueInfoProtoSchema } from "onnx-buf";
import { PergradError } from "../errors.js";
import { isBatch, type Shape, sameShape, showDim, showShape } from "../graph/dim.js";
import type { Attributes, Node, Value } from "../graph/value.js";
import { leavesOf, nodesBefore } from "../graph/walk.js";
import type { DType, Tensor } from "../tensor.js";
import { encodeAttributes } from "./attributes.js";
import { Constants } from "./constants.js";
import { Dimensions, neededNodes, operandSource, reshapeTarget } from "./dimensions.js";
import { Names } from "./names.js";
import { elementTypeOf } from "./proto.js";
import { refuseHugeConstants } from "./sizes.js";

export interface EncodableProgram {
  /** Leaves, in the order in which the file lists them. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
  /** Parameters to store in the file, by name. Other parameters are inputs, after those of `inputs`. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly doc?: string;
}

const opset = 21n;
const irVersion = 10n;

export function encodeModel(program: EncodableProgram): Uint8Array {
  return new Encoder(program).encode();
}

class Encoder {
  private readonly names = new Names();
  /** ONNX Runtime refuses two nodes of one name. */
  private readonly nodeNames = new Names();
  private readonly constants = new Constants(this.names);
  private readonly nameOf = new Map<Value, string>();
  private readonly nodes: NodeProto[] = [];
  private readonly domains = new Set<string>();
  private readonly inputs: readonly Value[];
  private readonly dimensions: Dimensions;

  constructor(private readonly program: EncodableProgram) {
    this.inputs = this.takeInputs();
    this.dimensions = new Dimensions(this.inputs, {
      constant: (values, dims) => this.constants.ints(values, dims),
      node: (op, inputs, attributes, wanted) => this.addNode(op, inputs, attributes, wanted),
      nameOf: (input) => this.nameOf.get(input) ?? input.name,
    });
  }

  encode(): Uint8Array {
    const { outputs, metadata = {}, doc = "" } = this.program;
    const copies = this.nameOutputs();
    const results = outputs.map(({ value }) => value);
    const nodes = neededNodes(nodesBefore(results), results);
    refuseHugeConstants(nodes);
    for (const node of nodes) this.encodeNode(node);
    for (const { name, value } of copies)
      this.push("Identity", "", "", [this.nameOf.get(value) ?? this.operand(value)], [name], {});
    const model = create(ModelProtoSchema, {
      irVersion,
      producerName: "pergrad",
      docString: doc,
      opsetImport: [{ domain: "", version: opset }, ...[...this.domains].map((domain) => ({ domain, version: 1n }))],
      metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      graph: {
        name: "pergrad",
        node: [...this.constants.nodes, ...this.nodes],
        initializer: this.constants.initializers,
        input: this.inputs.map((value) => valueInfo(value.name, value)),
        output: outputs.map(({ name, value }) => valueInfo(name, value)),
      },
    });
    return toBinary(ModelProtoSchema, model);
  }

  /** Names what is fed and what is stored: these names are kept as they are. */
  private takeInputs(): Value[] {
    const { inputs, outputs, parameters = {} } = this.program;
    const listed = new Set(inputs);
    const reached = leavesOf(outputs.map(({ value }) => value)).filter((value) => !listed.has(value));
    const more: Value[] = [];
    for (const value of inputs) this.nameOf.set(value, this.claim(value.name));
    for (const value of reached) {
      if (value.source.kind === "input") {
        throw new PergradError(
          "MISSING_TENSOR",
          `The program reads the input "${value.name}", which is not among its inputs.`,
        );
      }
      if (value.source.kind !== "parameter") continue;
      this.nameOf.set(value, this.claim(value.name));
      const stored = Object.hasOwn(parameters, value.name) ? parameters[value.name] : undefined;
      if (stored) this.constants.store(value.name, fitting(value, stored));
      else more.push(value);
    }
    return [...inputs, ...more];
  }

  private claim(name: string): string {
    if (name !== "" && this.names.claim(name)) return name;
    const problem = name === "" ? "one has none" : `"${name}" occurs twice`;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The inputs, parameters and outputs of a program need names of their own, but ${problem}.`,
    );
  }

  /** Gives outputs their names; returns those that need a copy, having another name already. */
  private nameOutputs(): EncodableProgram["outputs"] {
    return this.program.outputs.filter(({ name, value }) => {
      const before = this.nameOf.get(value);
      if (before === name && value.source.kind !== "node") return false;
      this.claim(name);
      if (before !== undefined || value.source.kind !== "node") return true;
      this.nameOf.set(value, name);
      return false;
    });
  }

  private encodeNode(node: Node): void {
    const outputs = node.outputs.map((value, index) => {
      const name =
        this.nameOf.get(value) ?? this.names.fresh(value.name || `${node.op}${index > 0 ? `_output${index}` : ""}`);
      this.nameOf.set(value, name);
      return name;
    });
    const target = reshapeTarget(node);
    const inputs = node.inputs.map((input, index) => {
      if (!input) return "";
      return target && index === 1 ? this.constants.ints(target) : this.operand(input);
    });
    this.push(
      node.op,
      node.domain,
      node.name,
      inputs,
      outputs,
      target ? withoutAllowZero(node.attributes) : node.attributes,
    );
  }

  /** The name by which a node reads a value. */
  private operand(value: Value): string {
    const source = operandSource(value);
    if (source.kind === "constant") return this.constants.add(rounded(source.tensor, value.dtype), value.name);
    if (source.kind === "dims") return this.dimensions.operand(source.dims, source.scalar);
    const name = this.nameOf.get(value);
    if (name === undefined)
      throw new PergradError(
        "RUNTIME",
        `The value "${value.name}" is read before it is computed: a defect of pergrad.`,
      );
    return name;
  }

  private addNode(op: string, inputs: readonly string[], attributes: Attributes, wanted: string): string {
    const output = this.names.fresh(wanted);
    this.push(op, "", "", inputs, [output], attributes);
    return output;
  }

  private push(
    op: string,
    domain: string,
    name: string,
    inputs: readonly string[],
    output: string[],
    attributes: Attributes,
  ): void {
    if (domain !== "") this.domains.add(domain);
    const unique = name === "" ? "" : this.nodeNames.fresh(name);
    const input = [...inputs];
    while (input.at(-1) === "") input.pop();
    this.nodes.push(
      create(NodeProtoSchema, {
        opType: op,
        domain,
        name: unique,
        input,
        output,
        attribute: encodeAttributes(attributes),
      }),
    );
  }
}

/** The target has no zeros: then allowzero changes nothing, and together with -1 it is not allowed. */
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

function valueInfo(name: string, { dtype, shape }: { readonly dtype: DType; readonly shape: Shape }): ValueInfoProto {
  const dim = shape.map((size) =>
    isBatch(size)
      ? { value: { case: "dimParam" as const, value: showDim(size) } }
      : { value: { case: "dimValue" as const, value: BigInt(size) } },
  );
  const tensorType = { elemType: elementTypeOf(dtype), shape: { dim } };
  return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value: tensorType } } });
}

/** Float constants are held more precisely than the graph computes: see `constantValue`. */
function rounded(tensor: Tensor, dtype: DType): Tensor {
  if (tensor.dtype !== "float64" || dtype !== "float32") return tensor;
  return { dtype, dims: tensor.dims, data: Float32Array.from(tensor.data as Float64Array) };
}
