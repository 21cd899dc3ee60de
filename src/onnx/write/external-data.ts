/**
 * Weights in a file beside the model: protobuf, and with it an ONNX file, ends at 2 GB. Tensors begin at multiples
 * of a memory page, so that who reads the model can map them.
 */
import type { TensorProto } from "onnx-buf";
import { bytesOfArray } from "../../io/bytes.js";
import type { Tensor } from "../../tensor/tensor.js";
import { Place, tensorProto } from "../messages.js";
import { elementTypeOf } from "../proto.js";

const page = 4096;

/** Takes the tensors that a model stores, and says what the model holds of each. */
export interface Storage {
  place(name: string, tensor: Tensor): TensorProto;
}

/** Tensors that stay where they are in memory: for whoever loads the model in this process, each is a file of its own. */
export class InMemory implements Storage {
  readonly #files = new Map<string, Uint8Array>();

  /** By the names that the model refers to them by. */
  get files(): ReadonlyMap<string, Uint8Array> {
    return this.#files;
  }

  place(name: string, tensor: Tensor): TensorProto {
    const location = `parameter-${this.#files.size}`;
    this.#files.set(location, bytesOfArray(tensor.data));
    return placed(name, tensor, { location, offset: 0 });
  }
}

function placed(
  name: string,
  tensor: Tensor,
  place: { readonly location: string; readonly offset: number },
): TensorProto {
  return tensorProto.create({
    name,
    dims: tensor.dims.map(BigInt),
    dataType: elementTypeOf(tensor.dtype),
    dataLocation: Place.EXTERNAL,
    externalData: Object.entries({ ...place, length: tensor.data.byteLength }).map(([key, value]) => ({
      key,
      value: String(value),
    })),
  });
}

export class ExternalData implements Storage {
  readonly #places: { readonly tensor: Tensor; readonly offset: number }[] = [];
  #end = 0;

  /** @param location the file's name, which the model says; it lies in the model's folder */
  constructor(readonly location: string) {}

  /** Of the file. */
  get size(): number {
    return this.#end;
  }

  /** Gives a tensor its place, and says what the model holds of it. */
  place(name: string, tensor: Tensor): TensorProto {
    const offset = Math.ceil(this.#end / page) * page;
    this.#places.push({ tensor, offset });
    this.#end = offset + tensor.data.byteLength;
    return placed(name, tensor, { location: this.location, offset });
  }

  /** Writes the tensors, one after another: none is copied. */
  async write(file: { write(bytes: Uint8Array, position: number): Promise<void> }): Promise<void> {
    for (const { tensor, offset } of this.#places) await file.write(bytesOfArray(tensor.data), offset);
  }
}
