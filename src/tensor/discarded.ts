/** Frees the memory of results that are no longer needed. */
import type { Tensor } from "./tensor.js";

/**
 * Frees arrays at once, before the garbage collector would: the next results then get memory that the system has
 * already mapped and the processor has cached. Transferring an array to a message port that has no listener frees it
 * (Node 20 lacks ArrayBuffer.prototype.transfer, which is made for this).
 */
export class Discarded {
  readonly #port: InstanceType<typeof MessageChannel>["port1"];

  constructor() {
    const { port1, port2 } = new MessageChannel();
    port2.close();
    this.#port = port1;
  }

  /** Frees the arrays of these tensors: they have no elements afterwards. */
  add(tensors: Iterable<Tensor>): void {
    const buffers = new Set([...tensors].map(({ data }) => data.buffer as ArrayBuffer));
    this.#port.postMessage(null, [...buffers]);
  }
}
