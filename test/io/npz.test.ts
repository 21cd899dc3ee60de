import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { readTensors } from "../../src/index.js";
import { decodeNpy } from "../../src/io/npy.js";
import { decodeNpz, encodeNpz } from "../../src/io/npz.js";
import { textsOf } from "../../src/tensor/texts.js";
import { temporaryFolder } from "../support/folder.js";
import { anyTensors, bits } from "../support/tensors.js";

function npy(header: string, data: Uint8Array | number[] = [], version = 1): Uint8Array {
  const text = Buffer.from(header, version === 3 ? "utf8" : "latin1");
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  length.writeUIntLE(text.length, 0, length.length);
  const magic = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  return new Uint8Array(Buffer.concat([magic, length, text, Buffer.from(data)]));
}
const dict = (descr: string, shape: string, order = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;

describe("round trips", () => {
  test("what is encoded is decoded, bit for bit", () => {
    fc.assert(
      fc.property(anyTensors, (tensors) => {
        expect(bits(decodeNpz(encodeNpz(tensors), "f"))).toEqual(bits(tensors));
      }),
    );
  });

  test("deflated members are read", () => {
    const x = npy(dict("<f4", "(1000,)"), new Uint8Array(4000));
    const zipped = zipSync({ "x.npy": x }, { level: 9 });
    expect(zipped.length).toBeLessThan(500);
    expect(decodeNpz(zipped, "f").get("x")).toEqual({ dtype: "float32", dims: [1000], data: new Float32Array(1000) });
  });
});

test("damage that unpacks without a complaint is found by the checksum", async () => {
  const values = Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i * i));
  const x = npy(dict("<f4", "(2000,)"), new Uint8Array(values.buffer));
  for (const level of [0, 9] as const) {
    const zipped = zipSync({ "x.npy": x }, { level });
    const path = join(temporaryFolder(), "x.npz");
    writeFileSync(path, zipped);
    expect((await readTensors(path)).x?.data).toEqual(values);
    for (let at = 1000; at < 5000; at += 500) {
      const damaged = Uint8Array.from(zipped);
      damaged[at] = (damaged[at] ?? 0) ^ 4;
      writeFileSync(path, damaged);
      const refused = expect.objectContaining({
        code: "FILE_UNREADABLE",
        message: expect.stringMatching(/ is not a readable/),
      });
      await expect(readTensors(path)).rejects.toEqual(refused);
    }
  }
});

describe("forms of .npy", () => {
  test.each([1, 2, 3])("version %i", (version) => {
    const read = decodeNpy(npy(dict("<i2", "(2,)"), [1, 0, 2, 0], version));
    expect(read).toEqual({ dtype: "int16", dims: [2], data: Int16Array.of(1, 2) });
  });

  test("lists of texts become bytes in UTF-8", () => {
    const points = (text: string) =>
      [...text.padEnd(3, "\0")].flatMap((letter) => [letter.codePointAt(0) ?? 0, 0, 0, 0]);
    const read = decodeNpy(npy(dict("<U3", "(2,)"), [...points("aé"), ...points("xyz")]));
    expect(textsOf(read)).toEqual(["aé", "xyz"]);
    expect(textsOf(decodeNpy(npy(dict(">U1", "(1,)"), [0, 0, 0, 98])))).toEqual(["b"]);
    expect(textsOf(decodeNpy(npy(dict("|S2", "(2,)"), [98, 99, 98, 0])))).toEqual(["bc", "b"]);
    expect(() => decodeNpy(npy(dict("<U1", "(1, 1)"), [98, 0, 0, 0]))).toThrow(/lists of texts alone/);
    expect(() => decodeNpy(npy(dict("<U1", "(1,)"), [0, 0, 0, 98]))).toThrow(/letters that do not exist/);
  });

  test("big-endian elements are swapped", () => {
    const read = decodeNpy(npy(dict(">f8", "()"), [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]));
    expect(read).toEqual({ dtype: "float64", dims: [], data: Float64Array.of(1) });
  });

  test("big-endian float16 is swapped and widened", () => {
    const read = decodeNpy(npy(dict(">f2", "(2,)"), [0x3c, 0, 0xc0, 0]));
    expect(read).toEqual({ dtype: "float32", dims: [2], data: Float32Array.of(1, -2) });
  });

  test("Python 2's long integers, spaces and any order of the keys", () => {
    const read = decodeNpy(npy("{'shape': (1L, 2L), 'fortran_order' : False ,'descr':'|u1'}", [7, 8]));
    expect(read).toEqual({ dtype: "uint8", dims: [1, 2], data: Uint8Array.of(7, 8) });
  });

  test("booleans other than 1 become 1", () => {
    expect(decodeNpy(npy(dict("|b1", "(3,)"), [0, 1, 255])).data).toEqual(Uint8Array.of(0, 1, 1));
  });

  test("Fortran order becomes row-major", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { maxLength: 4 }), (dims) => {
        const size = dims.reduce((a, b) => a * b, 1);
        const column = new Int32Array(size);
        // Element [i, j, k] has the value of its row-major position and stands at its column-major one.
        for (let row = 0; row < size; row++) {
          let [rest, position] = [row, 0];
          for (let axis = dims.length - 1; axis >= 0; axis--) {
            const dim = dims[axis] ?? 0;
            position += (rest % dim) * dims.slice(0, axis).reduce((a, b) => a * b, 1);
            rest = Math.floor(rest / dim);
          }
          column[position] = row;
        }
        const shape = `(${dims.map((dim) => `${dim},`).join(" ")})`;
        const read = decodeNpy(npy(dict("<i4", shape, "True"), new Uint8Array(column.buffer)));
        expect(read).toEqual({ dtype: "int32", dims, data: Int32Array.from({ length: size }, (_, i) => i) });
      }),
    );
  });
});

describe("unreadable archives are refused with the reason", () => {
  const archive = (member: Uint8Array) => zipSync({ "x.npy": member });
  const whole = encodeNpz({ x: { dtype: "float32", dims: [2], data: Float32Array.of(1, 2) } });
  const bomb = archive(npy(dict("<f4", "(2,)"), new Uint8Array(8)));
  const claim = bomb.slice();
  new DataView(claim.buffer).setUint32(
    new DataView(claim.buffer).getUint32(claim.length - 6, true) + 24,
    2 ** 31,
    true,
  );
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /not a whole zip archive/],
    ["truncated", whole.subarray(0, -30), /not a whole zip archive/],
    ["a claim of 2 GiB", claim, /its array "x.npy" claims 2147483648 bytes/],
    ["a PyTorch checkpoint", zipSync({ "archive/data.pkl": new Uint8Array(4) }), /"archive\/data.pkl".* not a .npy/],
    ["not an array", archive(new Uint8Array(20)), /array "x" is not a .npy array/],
    ["an unknown version", archive(npy(dict("<f4", "()"), new Uint8Array(4), 9)), /version 9/],
    ["a long header", archive(npy(dict("<f4", "()")).map((byte, i) => (i === 9 ? 255 : byte))), /within its header/],
    ["complex numbers", archive(npy(dict("<c8", "(1,)"), new Uint8Array(8))), /has the type <c8/],
    ["objects", archive(npy(dict("|O", "(1,)"), new Uint8Array(8))), /has the type \|O/],
    ["records", archive(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}")), /of a record/],
    ["no type", archive(npy("{}   ")), /without a type/],
    ["no shape", archive(npy("{'descr': '<f4', 'fortran_order': False}")), /without a valid shape/],
    ["a negative size", archive(npy(dict("<f4", "(-1,)"))), /without a valid shape/],
    ["an impossible size", archive(npy(dict("<f4", "(99999999999999999999,)"))), /impossible shape/],
    ["too few bytes", archive(npy(dict("<f4", "(3, 2)"), new Uint8Array(8))), /needs 24 bytes .*\[3, 2\] and has 8/],
    ["too many bytes", archive(npy(dict("<f4", "()"), new Uint8Array(8))), /needs 4 bytes .* has 8/],
  ];
  test.each(cases)("%s", (_, bytes, reason) => {
    const refusal = { code: "FILE_UNREADABLE", message: expect.stringMatching(reason) };
    expect(() => decodeNpz(bytes, "data.npz")).toThrow(expect.objectContaining(refusal));
    expect(() => decodeNpz(bytes, "data.npz")).toThrow(/^"data.npz" is not/);
  });

  test("changing any byte gives tensors or a PergradError, never another failure", () => {
    fc.assert(
      fc.property(anyTensors, fc.nat(), fc.nat(255), (tensors, where, value) => {
        const bytes = encodeNpz(tensors);
        bytes[where % bytes.length] = value;
        try {
          decodeNpz(bytes, "f");
        } catch (error) {
          expect(error).toMatchObject({ code: "FILE_UNREADABLE" });
        }
      }),
      { numRuns: 500 },
    );
  });
});
