/**
 * The constants of a file under construction; equal ones are stored once. Floating-point constants become Constant
 * nodes, because readers of the file, pergrad included, take a floating-point initializer for a parameter.
 */
import type { NodeProto, TensorProto } from "onnx-buf";
import { bytesOfArray } from "../../io/bytes.js";
import { isFloat, type Tensor } from "../../tensor/tensor.js";
import { encodeAttributes } from "../attributes.js";
import type { Init } from "../messages.js";
import type { Names } from "../names.js";
import { encodeTensor } from "../tensors.js";
import type { Storage } from "./external-data.js";

export class Constants {
  readonly initializers: TensorProto[] = [];
  readonly nodes: Init<NodeProto>[] = [];
  readonly #known = new Map<Tensor, string>();
  readonly #integers = new Map<string, string>();
  readonly #alike = new Map<string, { readonly name: string; readonly bytes: Uint8Array }[]>();

  /** @param external where tensors are stored if not in the file itself */
  constructor(
    private readonly names: Names,
    private readonly external?: Storage,
  ) {}

  /** The name of a constant. */
  add(tensor: Tensor, wanted = ""): string {
    const before = this.#known.get(tensor);
    if (before !== undefined) return before;
    const bytes = bytesOfArray(tensor.data);
    const key = `${tensor.dtype}[${tensor.dims.join()}]${hashOf(bytes)}`;
    const bucket = this.#alike.get(key) ?? [];
    const equal = bucket.find((other) => sameBytes(other.bytes, bytes));
    const name = equal?.name ?? this.#place(this.names.fresh(wanted || "constant"), tensor);
    if (!equal) this.#alike.set(key, [...bucket, { name, bytes }]);
    this.#known.set(tensor, name);
    return name;
  }

  #place(name: string, tensor: Tensor): string {
    if (!isFloat(tensor.dtype)) {
      this.initializers.push(encodeTensor(name, tensor));
      return name;
    }
    const attribute = encodeAttributes({ value: tensor });
    this.nodes.push({ opType: "Constant", output: [name], attribute });
    return name;
  }

  /** Stores a parameter under a name that has already been reserved for it. */
  store(name: string, tensor: Tensor): void {
    this.initializers.push(this.external?.place(name, tensor) ?? encodeTensor(name, tensor));
  }

  ints(values: readonly number[], dims: readonly number[] = [values.length]): string {
    // The same shapes are requested repeatedly.
    const key = `${values.join()}[${dims.join()}]`;
    const before = this.#integers.get(key);
    if (before !== undefined) return before;
    const name = this.add({ dtype: "int64", dims, data: BigInt64Array.from(values, saturate) });
    this.#integers.set(key, name);
    return name;
  }
}

const largest = 2n ** 63n - 1n;

/** Numbers that mean "to the end" may exceed the range of int64 after a conversion to float64. */
function saturate(value: number): bigint {
  const int = BigInt(value);
  return int > largest ? largest : int < -largest ? -largest : int;
}

/** The FNV-1a hash. Tensors with equal hashes are compared byte by byte. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash >>> 0;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
