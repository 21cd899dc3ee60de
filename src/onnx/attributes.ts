/** Attributes of nodes between files and memory. */
import type { AttributeProto, NodeProto } from "onnx-buf";
import { defect, PergradError } from "../errors.js";
import { isBody } from "../graph/body.js";
import type { Attribute, Attributes } from "../graph/value.js";
import type { DType, Tensor } from "../tensor/tensor.js";
import { asWritten } from "./as-written.js";
import { Kind } from "./enumerations.js";
import type { Init } from "./messages.js";
import {
  computedType,
  describeProto,
  elementTypeNamed,
  elementTypeOf,
  invalidModel,
  showElementType,
  storedTypeOf,
} from "./proto.js";
import { decodeTensor, encodeTensor, type PrecisionNotes } from "./tensors.js";

/** Attributes that name an element type. */
const elementTypes = new Set(["to", "dtype", "output_datatype"]);

function namesElementType({ domain, opType }: NodeProto, name: string): boolean {
  return name === "to" ? opType === "Cast" : elementTypes.has(name) && (domain === "" || domain === "ai.onnx");
}

/** Reads all attributes of a node. Those that name an element type become a dtype. */
export function decodeAttributes(node: NodeProto, notes: PrecisionNotes): Attributes {
  const what = describeProto(node);
  const entries = node.attribute.map((proto): [string, Attribute] => {
    const value = decodeAttribute(proto, what, notes);
    return [proto.name, namesElementType(node, proto.name) ? castTarget(value, what, notes) : value];
  });
  // fromEntries defines even a key "__proto__" as a plain property.
  return Object.fromEntries(entries);
}

function decodeAttribute(proto: AttributeProto, what: string, notes: PrecisionNotes): Attribute {
  const name = `attribute "${proto.name}" of ${what}`;
  if (proto.refAttrName !== "") throw invalidModel(`${name} refers to a function's attribute outside any function`);
  switch (proto.type === Kind.UNDEFINED ? guessKind(proto) : proto.type) {
    case Kind.FLOAT:
      return asWritten(proto.f);
    case Kind.INT:
      return plainInt(proto.i, name);
    case Kind.STRING:
      return text(proto.s);
    case Kind.FLOATS:
      return proto.floats.map(asWritten);
    case Kind.INTS:
      return proto.ints.map((int) => plainInt(int, name));
    case Kind.STRINGS:
      return proto.strings.map(text);
    case Kind.TENSOR:
      if (!proto.t) throw invalidModel(`${name} is empty`);
      return decodeTensor(proto.t, name, notes);
    case Kind.GRAPH:
    case Kind.GRAPHS:
      throw new PergradError(
        "UNSUPPORTED_OP",
        `${what} contains a graph of its own, which pergrad does not support; remove the node from the model.`,
      );
    default:
      throw new PergradError(
        "UNSUPPORTED_OP",
        `${name} is of a kind that pergrad does not know; export the model without it.`,
      );
  }
}

/** Files of the first ONNX versions do not say which field of an attribute holds its value. */
function guessKind(proto: AttributeProto): AttributeProto["type"] {
  if (proto.t) return Kind.TENSOR;
  if (proto.g || proto.graphs.length > 0) return Kind.GRAPH;
  if (proto.ints.length > 0) return Kind.INTS;
  if (proto.floats.length > 0) return Kind.FLOATS;
  if (proto.strings.length > 0) return Kind.STRINGS;
  if (Object.hasOwn(proto, "f")) return Kind.FLOAT;
  if (Object.hasOwn(proto, "s")) return Kind.STRING;
  return Object.hasOwn(proto, "i") ? Kind.INT : Kind.INTS;
}

const unbounded = 2n ** 62n;

/** Integers this large mean "to the end" (of a slice) and are cut off; others must be exact. */
function plainInt(int: bigint, name: string): number {
  if (int >= unbounded) return Number.MAX_SAFE_INTEGER;
  if (int <= -unbounded) return -Number.MAX_SAFE_INTEGER;
  if (!Number.isSafeInteger(Number(int))) throw invalidModel(`${name} is the impossible number ${int}`);
  return Number(int);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function castTarget(value: Attribute, what: string, notes: PrecisionNotes): DType {
  const element = typeof value === "string" ? elementTypeNamed(value) : Number(value);
  const stored = storedTypeOf(element);
  if (!stored)
    throw new PergradError(
      "UNSUPPORTED_OP",
      `${what} casts to ${showElementType(element)}, which pergrad does not know; cast to float32.`,
    );
  notes.add(stored, what);
  return computedType(stored);
}

// Encoding

/** Attributes that are floating-point even if their value is 1: no integer attribute has such a name. */
const floats = new Set(
  (
    "activation_alpha activation_beta activation_gamma activation_params alpha beta bias clip cubic_coeff_a epsilon extrapolation_value gamma high lambd low " +
    "mask_filter_value mean momentum ratio scale scales score_threshold seed softcap spatial_scale value_float value_floats"
  ).split(" "),
);

export function encodeAttributes(attributes: Attributes): Init<AttributeProto>[] {
  return Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value));
}

function encodeAttribute(name: string, value: Attribute): Init<AttributeProto> {
  const make = (init: Init<AttributeProto>): Init<AttributeProto> => ({ name, ...init });
  if (elementTypes.has(name) && typeof value === "string") {
    return make({ type: Kind.INT, i: BigInt(elementTypeOf(value as DType)) });
  }
  if (typeof value === "number") {
    return isFloating(name, [value])
      ? make({ type: Kind.FLOAT, f: value })
      : make({ type: Kind.INT, i: BigInt(value) });
  }
  if (typeof value === "string") return make({ type: Kind.STRING, s: new TextEncoder().encode(value) });
  if (isBody(value)) throw defect(`the body of a node is written as its attribute "${name}"`);
  if (isTensor(value)) return make({ type: Kind.TENSOR, t: encodeTensor("", value) });
  if (isStrings(value))
    return make({ type: Kind.STRINGS, strings: value.map((item) => new TextEncoder().encode(item)) });
  if (isFloating(name, value)) return make({ type: Kind.FLOATS, floats: [...value] });
  return make({ type: Kind.INTS, ints: value.map(BigInt) });
}

function isFloating(name: string, values: readonly number[]): boolean {
  return floats.has(name) || !values.every(Number.isSafeInteger);
}

function isTensor(value: Attribute): value is Tensor {
  return typeof value === "object" && "dtype" in value;
}

function isStrings(value: readonly number[] | readonly string[]): value is readonly string[] {
  return typeof value[0] === "string";
}
