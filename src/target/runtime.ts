/** What runs an ONNX model: one small interface, so that programs do not depend on where they run. */
import type { Tensor } from "../tensor/tensor.js";

/** What computes: a processor, or a kind of GPU through one of the runtime's libraries. */
export const executionProviders = ["cpu", "cuda", "tensorrt", "webgpu", "dml", "coreml"] as const;
export type ExecutionProvider = (typeof executionProviders)[number];

export interface RuntimeOptions {
  /** What computes, the preferred first; a node that one cannot compute goes to the next, and to the CPU at last. Default: the CPU. */
  readonly execution?: readonly ExecutionProvider[];
  /** Threads within an operation; as many as there are cores where not given. */
  readonly threads?: number;
  /** Memory is kept for later runs, which makes them faster; else each tensor is allocated and freed for itself. Default true. */
  readonly reserve?: boolean;
  /** Files that the model refers to, by the names that it gives them. The runtime copies them. Default: none. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** Convolutions may be computed in blocks of channels, which add up in another order. Default true. */
  readonly blockedConvolutions?: boolean;
  /** The names of all operators in the model, where they are known: what does not concern them need not be tried. */
  readonly operators?: ReadonlySet<string>;
  /** `Add>Sqrt` for an operator that alone reads what another computes, where such chains are known beside the operators. */
  readonly chains?: ReadonlySet<string>;
  /** No two of its nodes are equal. Default false: the runtime looks for such nodes. */
  readonly distinct?: boolean;
}

export interface Runtime {
  /** Its name and version: "onnxruntime-node 1.30.0". */
  readonly version: string;
  /** Whether it runs in the thread that asks: results are there before a run returns its promise. */
  readonly atOnce: boolean;
  /** Bytes that a run may take without fear that there are no more; undefined where only the machine sets a limit. */
  readonly mostMemory?: number | undefined;
  /** Prepares an ONNX model: its bytes, or a path, beside which external data may lie. Sessions are costly to make: reuse them. */
  load(model: string | Uint8Array, options?: RuntimeOptions): Promise<Session>;
}

export interface Session {
  /**
   * Runs the model once. The feeds' data is read, or copied, before this returns its promise (save what threads share,
   * which a worker thread reads when its turn comes); the results are the caller's.
   * @param seen is called with the results before this returns its promise, where the model runs in this thread
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    seen?: (results: Readonly<Record<string, Tensor>>) => void,
  ): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}
