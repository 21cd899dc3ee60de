/** What the main thread and a worker thread say to each other. */
import type { ErrorCode } from "../../errors.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { RuntimeOptions } from "../runtime.js";

/** Every request is answered by one answer with its number; before that, a compile also reports its stages. */
export type Request = { readonly id: number } & (
  | { readonly kind: "read"; readonly task: object }
  | ({ readonly session: number } & (
      | { readonly kind: "load"; readonly model: string | Uint8Array; readonly options: RuntimeOptions }
      | { readonly kind: "compile"; readonly task: object }
      | { readonly kind: "run"; readonly feeds: Readonly<Record<string, Tensor>> }
      | { readonly kind: "release" }
    ))
);

/** A request without its number. */
export type Sent = Request extends infer R ? (R extends Request ? Omit<R, "id"> : never) : never;

/** Indices into the memory that both sides share, an Int32Array. */
export const place = {
  /** 1 when the thread must end: waiting requests are dropped. */
  ending: 0,
  /** 1 while the thread is inside the runtime. */
  busy: 1,
} as const;

export interface Answer {
  readonly id: number;
  /** The answer to a run. */
  readonly results?: Record<string, Tensor>;
  /** The answer to a compile: facts about the program, and the parameters that it holds. */
  readonly compiled?: { readonly told: unknown; readonly held: readonly string[] };
  /** The answer to a request to read a file: the model, as data. */
  readonly read?: object;
  /** The stage of a compile that is not finished. */
  readonly stage?: string;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}
