import { Sentence, type Spelling, sentence, type Words } from "./sentence.js";

/**
 * The catalogue of errors: each has a stable code, and its message is one clear sentence that names
 * the file, tensor or node and says what to do.
 */
export type ErrorCode =
  /** The file cannot be read, or does not have the format that was stated. */
  | "FILE_UNREADABLE"
  /** A result file could not be written; nothing was left behind. */
  | "FILE_UNWRITABLE"
  /** The bytes are not an ONNX model, or are truncated. */
  | "NOT_ONNX"
  /** The model is ONNX but contradicts itself (undefined value, cycle, missing attribute, ...). */
  | "INVALID_MODEL"
  /** An operator, or a form of it, that pergrad does not know or does not differentiate. */
  | "UNSUPPORTED_OP"
  /** Samples of the batch influence each other, so per-sample gradients are undefined. */
  | "SAMPLES_INTERACT"
  /** In strict reading: the exporter computed a constant from parameters, so their gradients would lack that path. */
  | "FOLDED_PARAMETERS"
  /** Shapes do not fit each other. */
  | "SHAPE_MISMATCH"
  /** Constants or weights that would fill any machine's memory, although the file that asks for them is small. */
  | "TOO_LARGE"
  /** A dtype other than the one needed. */
  | "DTYPE_MISMATCH"
  /** A shape depends on the data, or on a dimension whose size was not given. */
  | "UNKNOWN_SHAPE"
  /** The inputs of one run do not hold the same number of samples. */
  | "BATCH_MISMATCH"
  /** An input, output, target or parameter that is missing, or that should not be there. */
  | "MISSING_TENSOR"
  /** A class label outside 0..classes-1. */
  | "LABEL_OUT_OF_RANGE"
  /** An index, such as a token's, outside the rows of the table that the model looks up. */
  | "INDEX_OUT_OF_RANGE"
  /** NaN or infinity in the data; or in gradients, if the user asked for an error or they would reach the weights. */
  | "NOT_FINITE"
  /** No trainable parameter reaches the loss, or a name or glob selects none. */
  | "NO_PARAMETERS"
  /** A run does not fit into its memory budget, even one sample at a time. */
  | "MEMORY_BUDGET"
  /** An argument outside its range. */
  | "INVALID_ARGUMENT"
  /** The runtime refused a program, or failed to run it. */
  | "RUNTIME"
  /** No cluster answers at the address, or it has stopped answering. */
  | "CLUSTER_UNREACHABLE"
  /** The cluster rejects the token, or the token would be sent where others can read it. */
  | "CLUSTER_REFUSED"
  /** The server that answers is not a cluster that pergrad can talk to. */
  | "CLUSTER_VERSION"
  /** A job on a cluster failed; the message holds the worker's last sentence. */
  | "CLUSTER_JOB"
  /** pergrad contradicts itself: a defect of pergrad. */
  | "INTERNAL";

/** An error that a user can act on. `code` is stable across versions; `message` is one sentence. */
export class PergradError extends Error {
  override readonly name = "PergradError";
  readonly #words: Words;

  constructor(
    readonly code: ErrorCode,
    message: Words,
    options?: { cause?: unknown },
  ) {
    super(spelled(message), options);
    this.#words = message;
  }

  /** The message, with its options spelled as `spelling` writes them. */
  spelled(spelling: Spelling): string {
    return spelled(this.#words, spelling);
  }

  /** Whether the message names the option. */
  names(option: string): boolean {
    return this.#words instanceof Sentence && this.#words.names(option);
  }

  /** What is wrong, as a clause: the message without its advice and its full stop. */
  get problem(): Words {
    return typeof this.#words === "string" ? this.#words.replace(/\.$/, "") : this.#words.clause();
  }
}

function spelled(words: Words, spelling?: Spelling): string {
  return typeof words === "string" ? words : words.spelled(spelling);
}

/** An error whose advice can be replaced by code that knows more: see `readvised`. */
class AdvisedError extends PergradError {
  readonly #problem: Words;

  constructor(code: ErrorCode, problem: Words, advice: Words, options?: { cause?: unknown }) {
    super(code, sentence`${problem}; ${advice}.`, options);
    this.#problem = problem;
  }

  override get problem(): Words {
    return this.#problem;
  }
}

/** One sentence: `problem`, a clause without its full stop, then `advice`, which says what to do. */
export function advised(code: ErrorCode, problem: Words, advice: Words, cause?: unknown): PergradError {
  return new AdvisedError(code, problem, advice, cause === undefined ? undefined : { cause });
}

/** What is wrong, as a clause: the message without its advice and its full stop. */
export function problemOf(error: PergradError): string {
  return spelled(error.problem);
}

/** The same error with other advice. */
export function readvised(error: PergradError, advice: Words): PergradError {
  return new AdvisedError(error.code, error.problem, advice, { cause: error });
}

/** An error in pergrad itself, which no user caused. */
export function defect(what: string, cause?: unknown): PergradError {
  const message = `A defect of pergrad: ${what}; please report it, with the model if you can.`;
  return new PergradError("INTERNAL", message, cause === undefined ? undefined : { cause });
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
