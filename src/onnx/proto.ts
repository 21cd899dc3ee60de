/** The protobuf messages of an ONNX file: read, named in messages, and the element types that they name. */
import type { GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto } from "onnx-buf";
import { advised, PergradError } from "../errors.js";
import { describeNode } from "../graph/value.js";
import type { HalfType } from "../io/bytes.js";
import type { DType } from "../tensor/tensor.js";
import { ElementType } from "./enumerations.js";
import { modelProto } from "./messages.js";

/** The element types of files that pergrad reads. */
export type StoredType = DType | HalfType;

const storedTypes: ReadonlyMap<number, StoredType> = new Map<number, StoredType>([
  [ElementType.FLOAT, "float32"],
  [ElementType.DOUBLE, "float64"],
  [ElementType.FLOAT16, "float16"],
  [ElementType.BFLOAT16, "bfloat16"],
  [ElementType.INT64, "int64"],
  [ElementType.INT32, "int32"],
  [ElementType.INT16, "int16"],
  [ElementType.INT8, "int8"],
  [ElementType.UINT64, "uint64"],
  [ElementType.UINT32, "uint32"],
  [ElementType.UINT16, "uint16"],
  [ElementType.UINT8, "uint8"],
  [ElementType.BOOL, "bool"],
]);

const elementTypes: ReadonlyMap<StoredType, number> = new Map(
  [...storedTypes].map(([element, stored]) => [stored, element]),
);

/** The type that an ONNX element type number stands for; undefined for strings, complex, 4- and 8-bit floats, ... */
export function storedTypeOf(elementType: number): StoredType | undefined {
  return storedTypes.get(elementType);
}

/** The dtype that pergrad computes in: every floating-point type becomes float32. */
export function computedType(stored: StoredType): DType {
  return stored === "float64" || stored === "float16" || stored === "bfloat16" ? "float32" : stored;
}

export function elementTypeOf(dtype: DType): number {
  return elementTypes.get(dtype) ?? ElementType.UNDEFINED;
}

/** How messages name an element type, for instance "string". */
export function showElementType(elementType: number): string {
  const found = Object.entries(ElementType).find(([, number]) => number === elementType);
  return found?.[0].toLowerCase() ?? `the element type ${elementType}`;
}

/** The number of an element type written as a name ("FLOAT"), as Cast had it before opset 6. */
export function elementTypeNamed(name: string): number {
  const found = Object.entries(ElementType).find(([key]) => key === name.toUpperCase());
  return found?.[1] ?? ElementType.UNDEFINED;
}

/** "ai.onnx" is another name of the default domain. */
export function standardDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

/** The version of the default domain that is imported. */
export function opsetOf(imports: readonly OperatorSetIdProto[]): number {
  return Number(imports.find(({ domain }) => standardDomain(domain) === "")?.version ?? 0n);
}

/** Old exporters do not name nodes: the first output's name is used instead. */
export function nodeName(node: NodeProto): string {
  return node.name || (node.output.find((name) => name !== "") ?? "");
}

export function describeProto(node: NodeProto): string {
  return describeNode({ op: node.opType, name: nodeName(node), outputs: [] });
}

/** The metadata that an exporter wrote for a message under a key. */
export function metadataOf(
  message: { readonly metadataProps: readonly StringStringEntryProto[] } | undefined,
  key: string,
): string | undefined {
  return message?.metadataProps.find((entry) => entry.key === key)?.value;
}

/** A file that contradicts itself. */
export function invalidModel(problem: string, advice = "export the model again"): PergradError {
  return advised("INVALID_MODEL", problem, advice);
}

function notOnnx(fileName: string, problem: string, cause?: unknown): PergradError {
  return new PergradError("NOT_ONNX", `"${fileName}" is not a readable ONNX model: ${problem}.`, { cause });
}

/** The first bytes of other files that are named .onnx by mistake. */
const strangers: readonly (readonly [string, string])[] = [
  ["version https://git-lfs", "it is a Git LFS pointer, so fetch the file itself with git lfs pull"],
  ["PK\u0003\u0004", "it is a zip archive (a PyTorch checkpoint?), so export the model with torch.onnx.export"],
  ["\u0089HDF", "it is an HDF5 file (a Keras model?), so convert it with tf2onnx"],
];

/** Reads the outermost message. Throws NOT_ONNX if the bytes are anything else, or end early. */
export function parseModel(bytes: Uint8Array, fileName: string): ModelProto {
  if (bytes.length === 0) throw notOnnx(fileName, "it is empty");
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 32));
  const stranger = strangers.find(([magic]) => start.startsWith(magic));
  if (stranger) throw notOnnx(fileName, stranger[1]);
  let model: ModelProto;
  try {
    model = modelProto.decode(bytes);
  } catch (error) {
    throw notOnnx(fileName, "it is of another format, damaged or truncated", error);
  }
  if (!model.graph) throw notOnnx(fileName, "it holds no graph, so it is of another format, damaged or truncated");
  if (model.irVersion < 1n || model.opsetImport.length === 0) {
    throw notOnnx(fileName, "it does not say which version of ONNX it is of, so it is probably truncated");
  }
  return model;
}

/** The names of all operators in a file, those in bodies and functions included. */
export function operatorsIn({ graph, functions }: Pick<ModelProto, "graph" | "functions">): ReadonlySet<string> {
  const found = new Set<string>();
  const open: Pick<GraphProto, "node">[] = graph ? [graph, ...functions] : [];
  for (let each = open.pop(); each; each = open.pop()) {
    for (const { opType, attribute } of each.node) {
      found.add(opType);
      for (const { g, graphs } of attribute) open.push(...(g ? [g] : []), ...graphs);
    }
  }
  return found;
}

/** Marks stored tensors with pergrad's own "parameter" or "buffer". */
export const roleKey = "pergrad.role";
