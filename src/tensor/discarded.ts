/** Memory of results that are done with. */
import type { Tensor } from "./tensor.js";

/**
 * Frees arrays at once, where the garbage collector would take its time: the next results then get the same memory,
 * which the system has given and the processor's cache holds. (Transferring them to a port that nobody listens at
 * does so; ArrayBuffer.prototype.transfer, which is made for it, Node 20 lacks.)
 */
export class Discarded {
  readonly #port: InstanceType<typeof MessageChannel>["port1"];

  constructor() {
    const { port1, port2 } = new MessageChannel();
    port2.close();
    this.#port = port1;
  }

  /** Afterwards the arrays have no elements. */
  add(tensors: Iterable<Tensor>): void {
    const buffers = new Set([...tensors].map(({ data }) => data.buffer as ArrayBuffer));
    this.#port.postMessage(null, [...buffers]);
  }
}
