/** What the main thread and a worker thread say to each other. */
import type { ErrorCode } from "../../errors.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { RuntimeOptions } from "../runtime.js";

/** Every request is answered by one answer with its number; a compile also by the stages that it comes to, before that. */
export type Request = { readonly id: number } & (
  | { readonly kind: "read"; readonly task: object }
  | ({ readonly session: number } & (
      | { readonly kind: "load"; readonly model: string | Uint8Array; readonly options: RuntimeOptions }
      | { readonly kind: "compile"; readonly task: object }
      | { readonly kind: "run"; readonly feeds: Readonly<Record<string, Tensor>> }
      | { readonly kind: "release" }
    ))
);

/** A request before it is numbered. */
export type Sent = Request extends infer R ? (R extends Request ? Omit<R, "id"> : never) : never;

/** Places in the memory that both sides see, an Int32Array. */
export const place = {
  /** 1 when the thread is to end: what still waits is left. */
  ending: 0,
  /** 1 while the thread is inside the runtime. */
  busy: 1,
} as const;

export interface Answer {
  readonly id: number;
  /** Of a run. */
  readonly results?: Record<string, Tensor>;
  /** Of a compile: what is to be known of the program, and which of its parameters it holds. */
  readonly compiled?: { readonly told: unknown; readonly held: readonly string[] };
  /** Of a file that was read: the model, as data. */
  readonly read?: object;
  /** Of a compile that is not done yet. */
  readonly stage?: string;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}
