/** Small ONNX files for tests, written field by field; read, written again and run. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProtoSchema,
  type FunctionProtoSchema,
  type GraphProtoSchema,
  AttributeProto_AttributeType as Kind,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "onnx-buf";
import { batchOver } from "../../src/autodiff/vmap.js";
import { PergradError } from "../../src/errors.js";
import type { Model } from "../../src/graph/model.js";
import type { Value } from "../../src/graph/value.js";
import { decodeSafetensors } from "../../src/io/safetensors.js";
import { type DecodeOptions, decodeModel } from "../../src/onnx/read/decode.js";
import { encodeTensor } from "../../src/onnx/tensors.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { withinOpset } from "../../src/onnx/write/opset.js";
import { build } from "../../src/ops/registry.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";

type ValueInfo = MessageInitShape<typeof ValueInfoProtoSchema>;
type NodeInit = MessageInitShape<typeof NodeProtoSchema>;
type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>;

export interface FileInit {
  readonly inputs?: readonly ValueInfo[];
  readonly initializers?: readonly MessageInitShape<typeof TensorProtoSchema>[];
  readonly nodes?: readonly NodeInit[];
  readonly outputs?: readonly string[];
  readonly opset?: number;
  /** What is written beside values. */
  readonly infos?: readonly ValueInfo[];
  /** What is written beside the graph. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly functions?: readonly MessageInitShape<typeof FunctionProtoSchema>[];
}

type GraphInit = MessageInitShape<typeof GraphProtoSchema>;

export function file({
  inputs = [],
  initializers = [],
  nodes = [],
  outputs = ["y"],
  opset = 21,
  infos = [],
  metadata = {},
  functions = [],
}: FileInit): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [
        { domain: "", version: BigInt(opset) },
        ...(functions.length > 0 ? [{ domain: "local", version: 1n }] : []),
      ],
      functions: [...functions],
      graph: {
        name: "test",
        node: [...nodes],
        initializer: [...initializers],
        input: [...inputs],
        valueInfo: [...infos],
        metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
        output: outputs.map((name) => ({ name })),
      },
    }),
  );
}

/** An input; a string is a symbolic dimension ("" one without a name), `elemType` 1 is float32. */
export function valueInfo(name: string, dims: readonly (number | string)[], elemType = 1): ValueInfo {
  const dim = dims.map((size) =>
    typeof size === "string"
      ? { value: { case: "dimParam" as const, value: size } }
      : { value: { case: "dimValue" as const, value: BigInt(size) } },
  );
  return { name, type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } } };
}

export function node(
  op: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly AttributeInit[] = [],
): NodeInit {
  return { opType: op, input: [...input], output: [...output], attribute: [...attribute] };
}

export const int = (name: string, i: number): AttributeInit => ({ name, type: Kind.INT, i: BigInt(i) });
export const float = (name: string, f: number): AttributeInit => ({ name, type: Kind.FLOAT, f });
export const graph = (name: string, g: GraphInit): AttributeInit => ({ name, type: Kind.GRAPH, g });
export const tensor = (name: string, t: Tensor): AttributeInit => ({ name, type: Kind.TENSOR, t: encodeTensor("", t) });
export const ints = (name: string, values: readonly (number | bigint)[]): AttributeInit => ({
  name,
  type: Kind.INTS,
  ints: values.map(BigInt),
});

export const text = (name: string, s: string): AttributeInit => ({
  name,
  type: Kind.STRING,
  s: new TextEncoder().encode(s),
});

export const floats = (dims: readonly number[], ...data: number[]): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from(data),
});

/** Some numbers, no two alike. */
export const waves = (dims: readonly number[]): Tensor<"float32"> =>
  floats(dims, ...Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(3 * i + 1)));

export const int64s = (...values: (number | bigint)[]): Tensor<"int64"> => ({
  dtype: "int64",
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

export const scalar = (value: number): Tensor<"int64"> => ({
  dtype: "int64",
  dims: [],
  data: BigInt64Array.of(BigInt(value)),
});

export const constant = (name: string, value: Tensor): NodeInit =>
  node("Constant", [], [name], [tensor("value", value)]);

export const initializer = (name: string, tensor: Tensor) => encodeTensor(name, tensor);

export function decode(bytes: Uint8Array, options: Partial<DecodeOptions> = {}): Model {
  return decodeModel(bytes, { fileName: "m.onnx", build, batchOver, ...options });
}

/** A model as pergrad writes it. */
export function encoded({ graph, parameters }: Model): Uint8Array {
  const values = withinOpset(graph.outputs.map(({ value }) => value));
  const outputs = graph.outputs.map(({ name }, k) => ({ name, value: values[k] as Value }));
  return encodeModel({ ...graph, outputs, parameters });
}

/** The outputs of a file on ONNX Runtime. */
export async function run(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Readonly<Record<string, Tensor>>> {
  const session = await nodeRuntime.load(bytes, { threads: 1 });
  const results = await session.run(feeds);
  await session.release();
  return results;
}

/** What decoding throws, as "CODE: message". */
export function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PergradError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "no error";
}

const goldens = fileURLToPath(new URL("../goldens/", import.meta.url));

/** The output of a golden: as stored beside it, else as ONNX Runtime computes it from the file. */
export async function expectedOutput(name: string, output: string): Promise<Tensor | undefined> {
  const tensors = (file: string) => decodeSafetensors(readFileSync(`${goldens}${name}/${file}`), file).tensors;
  const stored = tensors("expected.safetensors").get("output");
  if (stored) return stored;
  const inputs = [...tensors("data.safetensors")].filter(([input]) => input !== "target");
  return (await run(readFileSync(`${goldens}${name}/model.onnx`), Object.fromEntries(inputs)))[output];
}
