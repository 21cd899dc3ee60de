/**
 * Writes weights to a file beside the model's, because protobuf, and therefore an ONNX file, is limited to 2 GB. Each
 * tensor starts at a multiple of the memory page size, so that readers can map it into memory.
 */
import type { TensorProto } from "onnx-buf";
import { bytesOfArray } from "../../io/bytes.js";
import type { Tensor } from "../../tensor/tensor.js";
import { Place } from "../enumerations.js";
import { tensorProto } from "../messages.js";
import { elementTypeOf } from "../proto.js";

const page = 4096;

/** Stores a model's tensors, and returns the entry that the model holds for each. */
export interface Storage {
  place(name: string, tensor: Tensor): TensorProto;
}

/**
 * Leaves the tensors where they are in memory. To the code that loads the model in this process, each tensor appears as
 * a file of its own.
 */
export class InMemory implements Storage {
  readonly #files = new Map<string, Uint8Array>();

  /** The tensors' bytes, by the file names with which the model refers to them. */
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

  /** @param location the file's name as the model states it; the file is in the model's folder */
  constructor(readonly location: string) {}

  /** The size of the file in bytes. */
  get size(): number {
    return this.#end;
  }

  /** Assigns a tensor its place in the file, and returns the entry that the model holds for it. */
  place(name: string, tensor: Tensor): TensorProto {
    const offset = Math.ceil(this.#end / page) * page;
    this.#places.push({ tensor, offset });
    this.#end = offset + tensor.data.byteLength;
    return placed(name, tensor, { location: this.location, offset });
  }

  /** Writes the tensors one after another, without copying them. */
  async write(file: { write(bytes: Uint8Array, position: number): Promise<void> }): Promise<void> {
    for (const { tensor, offset } of this.#places) await file.write(bytesOfArray(tensor.data), offset);
  }
}
