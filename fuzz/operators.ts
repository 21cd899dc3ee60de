/** Models of one operator, chosen from all that ONNX defines, with inputs and attributes that may fit it. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as Kind,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
} from "onnx-buf";
import { formOf } from "../src/onnx/read/check-node.js";
import type { Input } from "../src/onnx/read/form.js";
import { type Draw, hostileDims, hostileFloat, hostileInt } from "./draw.js";

type Node = MessageInitShape<typeof NodeProtoSchema>;
type Attribute = MessageInitShape<typeof AttributeProtoSchema>;

const sizes = [1, 2, 3, 4, 5, 8] as const;
const smallInts = [0n, 1n, 1n, 1n, 2n, 2n, 3n, -1n, -2n] as const;
const texts = (
  "SAME_UPPER SAME_LOWER VALID NOTSET constant reflect edge wrap nearest linear cubic bilinear bicubic zeros border " +
  "reflection none add mul max min mean sum tanh DCR CRD half_pixel align_corners asymmetric floor ceil LEFT RIGHT " +
  "ij,jk->ik ij->j ii->i bij,bjk->bik ...ij->...ji forward reverse bidirectional"
).split(" ") as [string, ...string[]];

const anInt = (draw: Draw) => (draw.chance(0.95) ? draw.of(smallInts) : hostileInt(draw));

function someInts(draw: Draw, most = 6): bigint[] {
  if (draw.chance(0.03)) return hostileDims(draw);
  const one = anInt(draw);
  // Lists mostly repeat one number, like strides and kernels.
  return Array.from({ length: draw.below(most + 1) }, () => (draw.chance(0.7) ? one : anInt(draw)));
}

const rawKinds: Readonly<Record<string, (draw: Draw) => Attribute>> = {
  i: (draw) => ({ type: Kind.INT, i: anInt(draw) }),
  f: (draw) => ({ type: Kind.FLOAT, f: draw.chance(0.8) ? draw.of([0, 1, 0.5, 2, 1e-5, -1]) : hostileFloat(draw) }),
  s: (draw) => ({ type: Kind.STRING, s: new TextEncoder().encode(draw.of(texts)) }),
  is: (draw) => ({ type: Kind.INTS, ints: someInts(draw) }),
  fs: (draw) => ({ type: Kind.FLOATS, floats: Array.from({ length: draw.below(4) }, () => hostileFloat(draw)) }),
  ss: (draw) => ({ type: Kind.STRINGS, strings: [new TextEncoder().encode(draw.of(texts))] }),
  t: (draw) => ({
    type: Kind.TENSOR,
    t: { dataType: draw.of([1, 7, 9]), dims: [1n], floatData: [1], int64Data: [1n] },
  }),
};

const elementTypes: Readonly<Record<string, number>> = { float32: 1, int64: 7, int32: 6, bool: 9, uint8: 2 };

/** Builds a model whose operator reads the inputs that were added. */
class Builder {
  readonly nodes: Node[] = [];
  readonly initializers: MessageInitShape<typeof TensorProtoSchema>[] = [];
  readonly #shape: readonly number[];

  constructor(readonly draw: Draw) {
    const rank = draw.of([0, 1, 2, 3, 3, 3, 4]);
    this.#shape = Array.from({ length: rank }, () => draw.of(sizes));
    this.weight("w", [1]);
    this.nodes.push({ opType: "Mul", input: ["x", "w"], output: ["h"] });
  }

  get shape(): readonly (number | string)[] {
    return ["N", ...this.#shape];
  }

  weight(name: string, dims: readonly number[]): string {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const floatData = Array.from({ length: count }, (_, k) => Math.sin(k + 1));
    this.initializers.push({ name, dataType: 1, dims: dims.map(BigInt), floatData });
    return name;
  }

  /** An input of some kind with the given dtype. */
  input(dtypes: readonly string[], index: number): string {
    const dtype = dtypes.includes("float32") ? "float32" : (this.draw.maybe(dtypes) ?? "int64");
    const name = `in${index}`;
    if (dtype === "int64" || this.draw.chance(0.05)) {
      const ints = someInts(this.draw);
      const scalar = this.draw.chance(0.3);
      const int64Data = scalar ? ints.slice(0, 1) : ints;
      const dims = scalar && ints.length > 0 ? [] : [BigInt(int64Data.length)];
      this.initializers.push({ name, dataType: 7, dims, int64Data });
      return name;
    }
    if (dtype !== "float32") return this.cast("h", name, elementTypes[dtype] ?? 7);
    if (index === 0 || this.draw.chance(0.3)) return "h";
    const channels = this.#shape[0] ?? 1;
    const forms = [[channels], [], [1], this.#shape, this.#shape.slice(-1), [...this.#shape].reverse()];
    const kernel = this.#shape.slice(1).map(() => this.draw.of([1, 2]));
    return this.weight(name, this.draw.maybe([...forms, [2, channels, ...kernel], [channels, 1, ...kernel]]) ?? []);
  }

  cast(from: string, to: string, type: number): string {
    const attribute = [{ name: "to", type: Kind.INT, i: BigInt(type) }];
    this.nodes.push({ opType: "Cast", input: [from], output: [to], attribute });
    return to;
  }
}

function inputsOf(builder: Builder, forms: readonly Input[], dtypesOf: (type: string) => readonly string[]): string[] {
  const { draw } = builder;
  const all = forms.flatMap((form) => (form.variadic ? Array<Input>(1 + draw.below(3)).fill(form) : [form]));
  return all.map((form, k) => (form.optional && draw.chance(0.5) ? "" : builder.input(dtypesOf(form.type), k)));
}

/** A model of one operator, and its name; undefined if ONNX does not define it. */
export function operatorModel(draw: Draw, operators: readonly string[]): { name: string; bytes: Uint8Array } {
  const op = draw.maybe(operators) ?? "Identity";
  const builder = new Builder(draw);
  const form = formOf(op);
  const dtypes = (type: string) => [...(form?.types.get(type) ?? [type])];
  const input = form ? inputsOf(builder, form.inputs, dtypes) : ["h"];
  const attribute = [...(form?.attributes ?? [])].flatMap(([name, kind]): Attribute[] => {
    const make = rawKinds[kind.replace("!", "")];
    const left = !kind.endsWith("!") && draw.chance(0.5);
    return left || !make ? [] : [{ ...make(draw), name }];
  });
  const output = Array.from({ length: draw.chance(0.2) ? Math.min(3, form?.outputs ?? 1) : 1 }, (_, k) => `out${k}`);
  builder.nodes.push({ opType: op, input, output, attribute });
  builder.cast("out0", "y", 1);
  return { name: op, bytes: encoded(builder) };
}

function encoded({ nodes: node, initializers: initializer, shape }: Builder): Uint8Array {
  const dim = shape.map((size) =>
    typeof size === "string"
      ? { value: { case: "dimParam" as const, value: size } }
      : { value: { case: "dimValue" as const, value: BigInt(size) } },
  );
  const type = { value: { case: "tensorType" as const, value: { elemType: 1, shape: { dim } } } };
  const graph = { node, initializer, input: [{ name: "x", type }], output: [{ name: "y" }] };
  const opsetImport = [{ domain: "", version: 21n }];
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph }));
}
