import fc from "fast-check";
import { arrayOf, bytesOf, type DType, sizeOf, type Tensor, type TypedArray } from "../../src/tensor/tensor.js";

export const dtypes: readonly DType[] = [
  "float32",
  "float64",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint64",
  "uint32",
  "uint16",
  "uint8",
  "bool",
];

/** Tensors of any dtype and bit pattern; scalars and empty ones included. */
export const anyTensor: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(4), { maxLength: 4 }))
  .chain(([dtype, dims]) => {
    const length = sizeOf(dims) * bytesOf(dtype);
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => {
      if (dtype === "bool") for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] ?? 0) & 1;
      const data = new (arrayOf(dtype) as new (buffer: ArrayBuffer) => TypedArray)(new Uint8Array(bytes).buffer);
      return { dtype, dims, data };
    });
  });

/** Names as they occur, and names that objects, JSON and zip archives treat specially. */
const anyName = fc.oneof(
  fc.constantFrom("0", "10", "__proto__", "constructor", "/layers/0/weight", "a.b", "wéight ✓", "", "a\\b", '"'),
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__"),
);

export const anyTensors: fc.Arbitrary<Map<string, Tensor>> = fc
  .uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, maxLength: 5 })
  .map((entries) => new Map(entries));

/** Comparable as bytes, so that NaN payloads and -0 count. */
export function bits(tensors: ReadonlyMap<string, Tensor>): unknown {
  const one = ({ dtype, dims, data }: Tensor) => {
    return { dtype, dims, bytes: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex") };
  };
  return new Map([...tensors].map(([name, value]) => [name, one(value)]));
}
