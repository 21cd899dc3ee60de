/**
 * Converts the messages of ONNX's protobuf format between bytes and objects, in the shapes that onnx-buf describes. Its
 * tables are a tenth as large as onnx-buf's descriptors and the general library that interprets them. Fields that no
 * table lists are skipped in reading.
 */
import type { Message, MessageInitShape } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  StringStringEntryProto,
  TensorProto,
  TypeProto,
  ValueInfoProto,
} from "onnx-buf";
import { defect } from "../errors.js";
import { present } from "../present.js";
import { Kind, Place } from "./enumerations.js";
import { tables } from "./message-tables.js";

interface Scalar {
  readonly zero: unknown;
  readonly read: (reader: BinaryReader) => unknown;
  readonly write: (writer: BinaryWriter, value: unknown) => void;
  readonly wire: WireType;
}

function scalar<T>(
  zero: T,
  read: (reader: BinaryReader) => unknown,
  write: (writer: BinaryWriter, value: T) => void,
  wire: WireType = WireType.Varint,
): Scalar {
  const checked = (writer: BinaryWriter, value: unknown) => {
    if (!isLike(value, zero)) throw defect(`a field that holds a ${typeof zero} is given a ${typeof value}`);
    write(writer, value);
  };
  return { zero, read, write: checked, wire };
}

function isLike<T>(value: unknown, other: T): value is T {
  return typeof value === typeof other;
}

const int32 = scalar(
  0,
  (from) => from.int32(),
  (to, value) => to.int32(value),
);

/** Undefined if an enumeration does not have the number. */
const member = (all: Readonly<Record<string, number>>) =>
  scalar(
    0,
    (from) => {
      const value = from.int32();
      return Object.values(all).includes(value) ? value : undefined;
    },
    (to, value) => to.int32(value),
  );

const { LengthDelimited } = WireType;

const scalars: ReadonlyMap<string, Scalar> = new Map([
  [
    "",
    scalar(
      "",
      (from) => from.string(),
      (to, value) => to.string(value),
      LengthDelimited,
    ),
  ],
  [
    "bytes",
    scalar(
      new Uint8Array(),
      (from) => from.bytes(),
      (to, value) => to.bytes(value),
      LengthDelimited,
    ),
  ],
  [
    "float",
    scalar(
      0,
      (from) => from.float(),
      (to, value) => to.float(value),
      WireType.Bit32,
    ),
  ],
  [
    "double",
    scalar(
      0,
      (from) => from.double(),
      (to, value) => to.double(value),
      WireType.Bit64,
    ),
  ],
  [
    "int64",
    scalar(
      0n,
      (from) => from.int64(),
      (to, value) => to.int64(value),
    ),
  ],
  [
    "uint64",
    scalar(
      0n,
      (from) => from.uint64(),
      (to, value) => to.uint64(value),
    ),
  ],
  ["int32", int32],
  ["kind", member(Kind)],
  ["place", member(Place)],
]);

interface Field {
  readonly number: number;
  /** What stands before it in a file: its number, and how it is written. */
  readonly tag: number;
  readonly name: string;
  /** The choice that it belongs to. */
  readonly choice: string | undefined;
  /** Set for a scalar; otherwise the field holds messages. */
  readonly scalar: Scalar | undefined;
  readonly message: string;
  readonly list: boolean;
  readonly packed: boolean;
}

interface Table {
  readonly typeName: string;
  readonly fields: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
  /** The values of a message in which nothing is set. */
  readonly zeros: object;
}

function fieldOf(text: string): Field {
  const [number, path = "", type = ""] = text.split(" ");
  const [name = "", choice] = path.split(".").reverse();
  const plain = type.replace(/[*+]$/, "");
  const [list, packed] = [plain !== type, type.endsWith("+")];
  const scalar = scalars.get(plain);
  const wire = packed ? LengthDelimited : (scalar?.wire ?? LengthDelimited);
  const tag = ((Number(number) << 3) | wire) >>> 0;
  return { number: Number(number), tag, name, choice, scalar, message: plain, list, packed };
}

function tableOf(name: string, text: string): Table {
  const fields = text.split(",").map(fieldOf);
  const single = fields.filter(({ list, choice }) => !list && choice === undefined);
  return {
    typeName: `onnx.${name}`,
    fields: fields.toSorted((a, b) => a.number - b.number),
    byNumber: new Map(fields.map((field) => [field.number, field])),
    zeros: Object.fromEntries(single.flatMap((field) => (field.scalar ? [[field.name, field.scalar.zero]] : []))),
  };
}

const known: ReadonlyMap<string, Table> = new Map(
  Object.entries(tables).map(([name, text]) => [name, tableOf(name, text)]),
);

/** Any message. */
type Fields = Record<string, unknown>;
type Choice = { readonly case?: string; readonly value?: unknown };

function tableNamed(name: string): Table {
  return present(known.get(name));
}

function empty(table: Table): Fields {
  const message: Fields = Object.create(table.zeros);
  message.$typeName = table.typeName;
  for (const { name, choice, list } of table.fields) {
    if (list) message[name] = [];
    else if (choice !== undefined) message[choice] = { case: undefined };
  }
  return message;
}

/** Makes a message of some of its fields; messages inside may be plain objects. */
function made(table: Table, init: object): Fields {
  const message = empty(table);
  const given: Readonly<Record<string, unknown>> = { ...init };
  for (const { name, choice, scalar, message: type, list } of table.fields) {
    const whole = (value: unknown) => (scalar ? value : madeOf(tableNamed(type), value));
    const value = given[choice ?? name] ?? undefined;
    if (value === undefined) continue;
    if (choice === undefined) message[name] = list && Array.isArray(value) ? value.map(whole) : whole(value);
    else if (isChoice(value) && value.case === name) message[choice] = { case: name, value: whole(value.value) };
  }
  return message;
}

function madeOf(table: Table, value: unknown): unknown {
  if (typeof value !== "object" || value === null) throw defect(`a ${table.typeName} is made of ${typeof value}`);
  return "$typeName" in value ? value : made(table, value);
}

function isChoice(value: unknown): value is Choice {
  return typeof value === "object" && value !== null && "case" in value;
}

// Reading

/** The deepest nesting of messages. */
const deepest = 100;

function read(table: Table, message: Fields, reader: BinaryReader, length: number, depth: number): Fields {
  if (depth > deepest) throw new Error(`messages lie in each other more than ${deepest} deep`);
  const end = reader.pos + length;
  while (reader.pos < end) {
    const [number, wire] = reader.tag();
    const field = table.byNumber.get(number);
    if (field) readField(field, message, reader, wire, depth);
    else reader.skip(wire, number, deepest - depth);
  }
  return message;
}

function readField(field: Field, message: Fields, reader: BinaryReader, wire: WireType, depth: number): void {
  const { name, choice, scalar, list } = field;
  if (list) {
    const items = message[name];
    if (!Array.isArray(items)) throw defect(`the list ${name} is none`);
    if (scalar && wire === LengthDelimited && scalar.wire !== LengthDelimited) {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) items.push(scalar.read(reader));
    } else items.push(scalar ? scalar.read(reader) : child(field, undefined, reader, depth));
    return;
  }
  const before = choice === undefined ? message[name] : chosen(message[choice], name);
  const value = scalar ? scalar.read(reader) : child(field, before, reader, depth);
  if (value === undefined) return;
  if (choice === undefined) message[name] = value;
  else message[choice] = { case: name, value };
}

function chosen(choice: unknown, name: string): unknown {
  return isChoice(choice) && choice.case === name ? choice.value : undefined;
}

/** A message that occurs twice is the union of both. */
function child({ message }: Field, before: unknown, reader: BinaryReader, depth: number): Fields {
  const table = tableNamed(message);
  return read(table, isFields(before) ? before : empty(table), reader, reader.uint32(), depth + 1);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

// Writing

/** A message under construction. */
interface Written {
  readonly writer: BinaryWriter;
  /** The bytes of types that are written already: most of a graph's values share theirs with others. */
  readonly types: Map<Fields, Uint8Array>;
}

/** Writes the fields that are set: the zeros of a message are in its prototype. */
function write(table: Table, message: Fields, to: Written): void {
  for (const field of table.fields) {
    const { name, choice, list, packed } = field;
    if (!Object.hasOwn(message, choice ?? name)) continue;
    const value = choice === undefined ? message[name] : chosen(message[choice], name);
    if (value === undefined) continue;
    if (!list) writeOne(field, value, to);
    else if (Array.isArray(value) && value.length > 0) {
      if (packed) writePacked(field, value, to.writer);
      else for (const item of value) writeOne(field, item, to);
    }
  }
}

function writeOne({ tag, scalar, message }: Field, value: unknown, to: Written): void {
  const { writer } = to;
  if (scalar) scalar.write(writer.uint32(tag), value);
  else if (isFields(value)) {
    writer.uint32(tag);
    if (message === "TypeProto") writer.bytes(bytesOfType(value, to));
    else {
      writer.fork();
      write(tableNamed(message), value, to);
      writer.join();
    }
  }
}

function bytesOfType(type: Fields, { types }: Written): Uint8Array {
  const bytes = types.get(type) ?? bytesOf(tableNamed("TypeProto"), type, types);
  types.set(type, bytes);
  return bytes;
}

function bytesOf(table: Table, message: Fields, types: Written["types"]): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  write(table, message, { writer, types });
  return writer.finish();
}

function writePacked({ tag, scalar }: Field, values: readonly unknown[], writer: BinaryWriter): void {
  writer.uint32(tag).fork();
  for (const value of values) present(scalar).write(writer, value);
  writer.join();
}

// The messages that code names

/** A message, or some of its fields; messages inside may be plain objects too. Missing fields are empty or zero. */
export type Init<T extends Message> = MessageInitShape<GenMessage<T>>;

/** The operations on messages of one type. */
export class Schema<T extends Message> {
  readonly #table: Table;

  constructor(name: keyof typeof tables) {
    this.#table = tableNamed(name);
  }

  /** A whole message, for code that reads it. */
  create(fields: Init<T>): T {
    return this.#checked(made(this.#table, fields));
  }

  /** A copy of a message with some fields changed. */
  changed(message: T, fields: Init<T>): T {
    return this.#checked(made(this.#table, { ...message, ...fields }));
  }

  /** Throws if the bytes are not such a message, or end early. */
  decode(bytes: Uint8Array): T {
    return this.#checked(read(this.#table, empty(this.#table), new BinaryReader(bytes), bytes.length, 1));
  }

  encode(message: Init<T>): Uint8Array<ArrayBuffer> {
    return bytesOf(this.#table, { ...message }, new Map());
  }

  #checked(message: object): T {
    if (!this.#isOne(message)) throw defect(`a message is no ${this.#table.typeName}`);
    return message;
  }

  #isOne(message: object): message is T {
    return "$typeName" in message && message.$typeName === this.#table.typeName;
  }
}

export const attributeProto = new Schema<AttributeProto>("AttributeProto");
export const graphProto = new Schema<GraphProto>("GraphProto");
export const modelProto = new Schema<ModelProto>("ModelProto");
export const nodeProto = new Schema<NodeProto>("NodeProto");
export const stringStringEntryProto = new Schema<StringStringEntryProto>("StringStringEntryProto");
export const tensorProto = new Schema<TensorProto>("TensorProto");
export const typeProto = new Schema<TypeProto>("TypeProto");
export const valueInfoProto = new Schema<ValueInfoProto>("ValueInfoProto");
