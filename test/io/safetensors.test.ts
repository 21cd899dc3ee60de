import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSafetensors, encodeSafetensors, openSafetensors, readSafetensors } from "../../src/io/safetensors.js";
import { bytesOf, type Tensor } from "../../src/tensor/tensor.js";
import { temporaryFolder } from "../support/folder.js";
import { anyTensors, bits } from "../support/tensors.js";

/** A file with this header and so many bytes of data. */
function fileOf(header: unknown, dataLength = 0): Uint8Array {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const f32 = (shape: unknown, data_offsets: unknown) => ({ dtype: "F32", shape, data_offsets });

describe("round trips", () => {
  test("what is encoded is decoded, bit for bit", () => {
    fc.assert(
      fc.property(anyTensors, fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
        const decoded = decodeSafetensors(encodeSafetensors(tensors, metadata), "f");
        expect(bits(decoded.tensors)).toEqual(bits(tensors));
        expect(decoded.metadata).toEqual(metadata);
      }),
    );
  });

  test("the header is padded to 8 bytes, keeps the given order, and all data is aligned", () => {
    fc.assert(
      fc.property(anyTensors, (tensors) => {
        const bytes = encodeSafetensors(tensors);
        const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
        const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
        expect(length % 8).toBe(0);
        let position = 0;
        for (const [name, { dtype }] of tensors) {
          position = text.indexOf(`${JSON.stringify(name)}:{"dtype"`, position);
          expect(position).toBeGreaterThan(0);
          const [, begin] = /"data_offsets":\[(\d+)/.exec(text.slice(position)) ?? [];
          expect(Number(begin) % bytesOf(dtype)).toBe(0);
        }
      }),
    );
  });

  test("a view at an odd offset is decoded", () => {
    const bytes = encodeSafetensors({ x: { dtype: "float64", dims: [2], data: Float64Array.of(1, 2) } });
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeSafetensors(shifted.subarray(3), "f").tensors.get("x")?.data).toEqual(Float64Array.of(1, 2));
  });

  test("half precision is widened", () => {
    const shape = [8];
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0xfc00, 0x8000, 0x7e00);
    const brain = Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x7f80, 0xff80, 0x8000, 0x7fc0, 0x4049);
    const header = {
      half: { dtype: "F16", shape, data_offsets: [0, 16] },
      brain: { dtype: "BF16", shape, data_offsets: [16, 32] },
    };
    const bytes = fileOf(header, 32);
    bytes.set(new Uint8Array(halves.buffer), bytes.length - 32);
    bytes.set(new Uint8Array(brain.buffer), bytes.length - 16);
    const { tensors } = decodeSafetensors(bytes, "f");
    const half = [1, -2, 2 ** -24, -1023 * 2 ** -24, 65504, -Infinity, -0, NaN];
    expect([...(tensors.get("half")?.data ?? [])]).toEqual(half);
    const expected = [1, -2, 2 ** -133, Infinity, -Infinity, -0, NaN, 3.140625];
    expect([...(tensors.get("brain")?.data ?? [])]).toEqual(expected);
  });
});

describe("hostile and damaged files are refused with the reason", () => {
  const good = encodeSafetensors({ w: { dtype: "float32", dims: [3], data: Float32Array.of(1, 2, 3) } });
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /0 bytes/],
    ["not safetensors", Buffer.from("hello, this is plain text"), /truncated or of another format/],
    ["a length beyond the file", fileOf("{}").subarray(0, 9), /header claims 2 bytes/],
    ["a huge length", new Uint8Array(16).fill(255), /header claims 18446744073709551615/],
    ["truncated data", good.subarray(0, -1), /tensor "w" lies at bytes 0..12 of 11/],
    ["trailing bytes", new Uint8Array([...good, 0]), /1 bytes at its end belong to no tensor/],
    ["bad JSON", fileOf("{'a': 1}"), /not valid JSON/],
    ["bad UTF-8", fileOf("{}").map((byte, i) => (i === 9 ? 0xff : byte)), /not valid JSON/],
    ["an array as header", fileOf([1]), /not a JSON object/],
    ["null as header", fileOf("null"), /not a JSON object/],
    ["numbers in the metadata", fileOf({ __metadata__: { a: 1 } }), /__metadata__/],
    ["a tensor that is null", fileOf({ w: null }), /tensor "w" has no description/],
    ["an unknown dtype", fileOf({ w: { dtype: "C64", shape: [1], data_offsets: [0, 8] } }, 8), /"w" has dtype C64/],
    ["a negative size", fileOf({ w: f32([-1], [0, 0]) }), /shape that is not a list of sizes/],
    ["a fractional size", fileOf({ w: f32([0.5], [0, 2]) }, 2), /shape that is not a list of sizes/],
    ["a shape that is no list", fileOf({ w: f32("1", [0, 4]) }, 4), /shape that is not a list of sizes/],
    ["three offsets", fileOf({ w: f32([1], [0, 4, 8]) }, 4), /no valid data_offsets/],
    ["no offsets", fileOf({ w: { dtype: "F32", shape: [1] } }, 4), /no valid data_offsets/],
    ["reversed offsets", fileOf({ w: f32([1], [4, 0]) }, 4), /lies at bytes 4..0/],
    ["too few bytes", fileOf({ w: f32([2], [0, 4]) }, 4), /"w" needs 8 bytes for its shape \[2\] and has 4/],
    ["an overflowing shape", fileOf({ w: f32([2 ** 52, 2 ** 52, 0], [0, 4]) }, 4), /needs 0 bytes/],
    ["an overlap", fileOf({ a: f32([2], [0, 8]), b: f32([2], [4, 12]) }, 12), /"b" overlaps another tensor/],
    ["a hole", fileOf({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12), /"b" leaves a hole/],
  ];
  test.each(cases)("%s", async (_, bytes, reason) => {
    const refusal = { name: "PergradError", code: "FILE_UNREADABLE", message: expect.stringMatching(reason) };
    expect(() => decodeSafetensors(bytes, "data.safetensors")).toThrow(expect.objectContaining(refusal));
    expect(() => decodeSafetensors(bytes, "data.safetensors")).toThrow(/^"data.safetensors" is not/);
  });

  test("changing any byte gives tensors or a PergradError, never another failure", () => {
    fc.assert(
      fc.property(anyTensors, fc.nat(), fc.nat(255), (tensors, where, value) => {
        const bytes = encodeSafetensors(tensors);
        bytes[where % bytes.length] = value;
        try {
          decodeSafetensors(bytes, "f");
        } catch (error) {
          expect(error).toMatchObject({ code: "FILE_UNREADABLE" });
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a tensor cannot take the name of the metadata", () => {
    const tensors: Record<string, Tensor> = { __metadata__: { dtype: "bool", dims: [], data: Uint8Array.of(1) } };
    expect(() => encodeSafetensors(tensors)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

describe("the streaming writer", () => {
  const layout = { "10": { dtype: "float32", dims: [4, 2] }, b: { dtype: "int64", dims: [3] } } as const;

  test("pieces in any order make the file that is encoded at once", async () => {
    const path = join(temporaryFolder(), "out.safetensors");
    const writer = await openSafetensors(path, layout, { made: "by a test" });
    await writer.write("10", 4, Float32Array.of(4, 5, 6, 7));
    await writer.write("b", 0, BigInt64Array.of(1n, -2n, 3n));
    await writer.write("10", 0, Float32Array.of(9, 0, 1, 2, 3, 9).subarray(1, 5));
    await writer.commit();
    await writer.abort();
    const tensors = new Map<string, Tensor>([
      ["10", { dtype: "float32", dims: [4, 2], data: Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7) }],
      ["b", { dtype: "int64", dims: [3], data: BigInt64Array.of(1n, -2n, 3n) }],
    ]);
    expect(new Uint8Array(readFileSync(path))).toEqual(encodeSafetensors(tensors, { made: "by a test" }));
    const read = await readSafetensors(path);
    expect(bits(read.tensors)).toEqual(bits(tensors));
    expect(read.metadata).toEqual({ made: "by a test" });
  });

  test("wrong pieces are refused, and an incomplete file is never put in place", async () => {
    const folder = temporaryFolder();
    const writer = await openSafetensors(join(folder, "out.safetensors"), layout);
    const refused = (promise: Promise<void>, message: RegExp) =>
      expect(promise).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
    await refused(writer.write("c", 0, Float32Array.of(1)), /without a tensor "c"/);
    await refused(writer.write("b", 0, Float32Array.of(1)), /tensor "b" is int64, not what Float32Array holds/);
    await refused(writer.write("b", 2, BigInt64Array.of(1n, 2n)), /elements 2..4 lie outside tensor "b", which has 3/);
    await refused(writer.write("b", -1, BigInt64Array.of(1n)), /outside/);
    await writer.write("10", 0, new Float32Array(8));
    await writer.write("b", 0, BigInt64Array.of(1n));
    await refused(writer.commit(), /1 elements were written of tensor "b", which has 3/);
    await refused(writer.write("b", 1, BigInt64Array.of(1n)), /already closed/);
    expect(readdirSync(folder)).toEqual([]);
  });
});
