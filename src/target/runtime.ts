/** Runs an ONNX model: a small interface, so that programs do not depend on where they run. */
import type { Tensor } from "../tensor/tensor.js";

/** What computes: a processor, or a kind of GPU through one of the runtime's libraries. */
export const executionProviders = ["cpu", "cuda", "tensorrt", "webgpu", "dml", "coreml"] as const;
export type ExecutionProvider = (typeof executionProviders)[number];

export interface RuntimeOptions {
  /**
   * What computes, the preferred provider first; a node that it cannot compute goes to the next, and in the end to the
   * CPU. Default: the CPU.
   */
  readonly execution?: readonly ExecutionProvider[];
  /** The number of threads within an operation. Default: the number of cores. */
  readonly threads?: number;
  /**
   * Whether memory is kept for later runs, which makes them faster; otherwise each tensor is allocated and freed
   * separately. Default true.
   */
  readonly reserve?: boolean;
  /** Files that the model refers to, by the names it uses for them. The runtime copies them. Default: none. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** Whether convolutions may be computed in blocks of channels, which adds in another order. Default true. */
  readonly blockedConvolutions?: boolean;
  /** The names of all operators in the model, if they are known: optimizers for others need not be tried. */
  readonly operators?: ReadonlySet<string>;
  /** Chains in the model, if they are known: `Add>Sqrt` stands for a Sqrt that is the only reader of an Add. */
  readonly chains?: ReadonlySet<string>;
  /** Whether no two of its nodes are equal. Default false: the runtime looks for equal nodes. */
  readonly distinct?: boolean;
}

export interface Runtime {
  /** Its name and version: "onnxruntime-node 1.30.0". */
  readonly version: string;
  /** Whether it runs in the calling thread, so that results exist before a run returns its promise. */
  readonly atOnce: boolean;
  /** Bytes that a run may safely take; undefined if only the machine sets a limit. */
  readonly mostMemory?: number | undefined;
  /**
   * Prepares an ONNX model: its bytes, or a path with any external data beside it. Sessions are costly to make: reuse
   * them.
   */
  load(model: string | Uint8Array, options?: RuntimeOptions): Promise<Session>;
}

export interface Session {
  /**
   * Runs the model once. The data of the feeds is read or copied before this returns its promise (except shared memory,
   * which a worker thread reads when its turn comes); the results belong to the caller.
   * @param seen is called with the results before this returns its promise, if the model runs in this thread
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    seen?: (results: Readonly<Record<string, Tensor>>) => void,
  ): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}
