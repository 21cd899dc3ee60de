/** The tables of ONNX's messages, beside the descriptors that protobuf's own compiler made of ONNX's definition. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import * as described from "onnx-buf";
import { describe, expect, it } from "vitest";
import * as kinds from "../../src/onnx/enumerations.js";
import { tables } from "../../src/onnx/message-tables.js";
import * as messages from "../../src/onnx/messages.js";

const { modelProto, tensorProto, nodeProto } = messages;

const descriptors: DescMessage[] = Object.entries(described).flatMap(([name, each]) =>
  name.endsWith("Schema") && typeof each === "object" && "kind" in each && each.kind === "message" ? [each] : [],
);

const plain = (typeName: string) => typeName.replace(/^onnx\./, "");
const enumerations = new Map([
  ["onnx.AttributeProto.AttributeType", "kind"],
  ["onnx.TensorProto.DataLocation", "place"],
]);

/** A field as the tables write it. */
function written(field: DescField): string {
  const type = field.message
    ? plain(field.message.typeName).replace("TypeProto.SparseTensor", "TypeProto.Tensor")
    : field.enum
      ? enumerations.get(field.enum.typeName)
      : field.scalar === ScalarType.STRING || field.scalar === undefined
        ? ""
        : ScalarType[field.scalar].toLowerCase();
  const list = field.fieldKind === "list" ? (field.packed ? "+" : "*") : "";
  const path = field.oneof ? `${field.oneof.localName}.${field.localName}` : field.localName;
  return `${field.number} ${path} ${type}${list}`.trimEnd();
}

it("every message has all fields that onnx-buf describes", () => {
  const expected = descriptors
    .filter(({ typeName }) => typeName !== "onnx.TypeProto.SparseTensor")
    .map((each): [string, string] => [plain(each.typeName), each.fields.map(written).join()]);
  expect(tables).toEqual(Object.fromEntries(expected));
});

it("the enumerations have the members that onnx-buf describes", () => {
  const named = (each: object) =>
    Object.fromEntries(Object.entries(each).filter(([, value]) => Number.isInteger(value)));
  expect(kinds.Kind).toEqual(named(described.AttributeProto_AttributeType));
  expect(kinds.Place).toEqual(named(described.TensorProto_DataLocation));
  expect(kinds.ElementType).toEqual(named(described.TensorProto_DataType));
});

const goldens = join(import.meta.dirname, "..", "goldens");
const files = readdirSync(goldens, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())

  .map(({ name }) => join(goldens, name, "model.onnx"));

describe("files of others", () => {
  it("are read as protobuf's own library reads them, and written to the same bytes", () => {
    for (const file of files) {
      const bytes = readFileSync(file);
      const read = modelProto.decode(bytes);
      const theirs = fromBinary(described.ModelProtoSchema, bytes, { readUnknownFields: false });
      expect(read).toEqual(theirs);
      expect(Buffer.compare(modelProto.encode(read), toBinary(described.ModelProtoSchema, theirs))).toBe(0);
    }
  });

  it("damaged anywhere, are read alike or refused alike", () => {
    const bytes = readFileSync(join(goldens, "activations_a", "model.onnx"));
    const attempt = (act: () => unknown) => {
      try {
        return act();
      } catch {
        return "refused";
      }
    };
    const damage = fc.array(fc.tuple(fc.nat(Math.min(bytes.length, 4000) - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(damage, fc.integer({ min: bytes.length >> 1, max: bytes.length }), (changes, end) => {
        const damaged = Uint8Array.from(bytes.subarray(0, end));
        for (const [place, value] of changes) damaged[place] = value;
        const theirs = attempt(() => fromBinary(described.ModelProtoSchema, damaged, { readUnknownFields: false }));
        expect(attempt(() => modelProto.decode(damaged))).toEqual(theirs);
      }),
      { numRuns: 200 },
    );
  });
});

it("messages that lie in each other too deep are refused", () => {
  let bytes = Uint8Array.of();
  // A type that is a sequence of a type that is a sequence ...: field 4, and field 1.
  for (let depth = 0; depth < 120; depth++)
    bytes = Uint8Array.from([depth % 2 ? 0x22 : 0x0a, ...varint(bytes.length), ...bytes]);
  expect(() => messages.valueInfoProto.decode(Uint8Array.from([0x12, ...varint(bytes.length), ...bytes]))).toThrow(
    /deep/,
  );
});

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

it("what is not set is zero or empty and is not written; what is set to zero is written", () => {
  const node = nodeProto.create({ opType: "Relu" });
  expect([node.name, node.input, node.attribute]).toEqual(["", [], []]);
  expect(Object.hasOwn(node, "name")).toBe(false);
  expect(nodeProto.encode(node)).toEqual(Uint8Array.from([0x22, 4, ...Buffer.from("Relu")]));
  const tensor = tensorProto.create({ dims: [2n], dataType: 0, floatData: [1, 2] });
  expect(tensorProto.decode(tensorProto.encode(tensor))).toEqual(tensor);
  expect(Object.hasOwn(tensorProto.decode(tensorProto.encode(tensor)), "dataType")).toBe(true);
  expect(nodeProto.changed(node, { name: "a" })).toEqual(nodeProto.create({ opType: "Relu", name: "a" }));
});
