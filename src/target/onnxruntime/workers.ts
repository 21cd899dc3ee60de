/** Worker threads that run programs, so that the event loop of the thread that asks stays free. */
import { Worker } from "node:worker_threads";
import { PergradError } from "../../errors.js";
import type { Tensor, TypedArray } from "../../tensor/tensor.js";
import type { Runtime, RuntimeOptions, Session } from "../runtime.js";
import { releasedError } from "./exchange.js";
import { here } from "./here.js";
import { type Answer, place, type Request } from "./messages.js";

/** Options of `workers`. */
export interface WorkersOptions {
  /**
   * Worker threads, from 1 up. Programs are spread over them; those of one thread run one after another, each with
   * its own `threads` within an operation. Default 1.
   */
  readonly count?: number;
}

type Sent = Request extends infer R ? (R extends Request ? Omit<R, "id"> : never) : never;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

const released = () =>
  new PergradError(
    "RUNTIME",
    "The worker threads were released, so the program cannot run any more; compile it again.",
  );

function failure(error: Error): PergradError {
  const bundled = "code" in error && (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND");
  const advice = "; a bundle does not hold what its threads run, so leave pergrad out of it (docs/installing.md)";
  return new PergradError(
    "RUNTIME",
    `A worker thread failed: ${error.message.replace(/\.$/, "")}${bundled ? advice : ""}.`,
  );
}

const running = new Set<Thread>();

/** A thread that is stopped inside the runtime takes the process down with it: an exit waits until it is outside. */
function waitForAll(): void {
  for (const thread of running) thread.stop();
}

/** One thread. It keeps the process alive while it has something to answer. */
class Thread {
  readonly #state = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker = new Worker(new URL("./worker-thread.js", import.meta.url), {
    workerData: this.#state.buffer,
    execArgv: [],
  });
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  #requests = 0;
  #ended: PergradError | undefined;
  /** Sessions that it holds. */
  load = 0;

  constructor() {
    this.#worker.unref();
    this.#worker.on("message", (answer: Answer) => this.#answered(answer));
    this.#worker.on("error", (error) => this.#end(failure(error)));
    this.#exited = new Promise((resolve) => {
      this.#worker.once("exit", () => {
        this.#exit();
        resolve();
      });
    });
    if (running.size === 0) process.on("exit", waitForAll);
    running.add(this);
  }

  ask(request: Sent, transferred: readonly ArrayBuffer[] = []): Promise<Answer> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#requests++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ ...request, id }, transferred);
    });
  }

  /** Ends the thread, once it is done with what it computes; what is asked of it then fails at once. */
  async end(): Promise<void> {
    this.#end(released());
    this.#worker.ref();
    Atomics.store(this.#state, place.ending, 1);
    this.#worker.postMessage({ kind: "end" });
    await this.#exited;
  }

  /** Blocks until the thread is outside the runtime, and lets it begin nothing more. */
  stop(): void {
    Atomics.store(this.#state, place.ending, 1);
    Atomics.wait(this.#state, place.busy, 1);
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    const { error } = answer;
    if (error) waiting?.reject(new PergradError(error.code, error.message));
    else waiting?.resolve(answer);
  }

  #end(reason: PergradError): void {
    this.#ended ??= reason;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  #exit(): void {
    this.#end(new PergradError("RUNTIME", "A worker thread ended unexpectedly."));
    running.delete(this);
    if (running.size === 0) process.removeListener("exit", waitForAll);
  }
}

class WorkerSession implements Session {
  #released = false;

  constructor(
    private readonly thread: Thread,
    private readonly id: number,
  ) {}

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const copies = Object.entries(feeds).map(([name, tensor]) => [name, handedOver(tensor)] as const);
    const buffers = copies.flatMap(([, { data }]) => (isShared(data) ? [] : [data.buffer as ArrayBuffer]));
    const request = { kind: "run", session: this.id, feeds: Object.fromEntries(copies) } as const;
    if (this.#released) throw releasedError();
    const { results = {} } = await this.thread.ask(request, buffers);
    return results;
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.thread.load -= 1;
    await this.thread.ask({ kind: "release", session: this.id }).catch(() => undefined);
  }
}

function isShared(data: TypedArray): boolean {
  return data.buffer instanceof SharedArrayBuffer;
}

/** The caller keeps its arrays: a copy of them is transferred. Shared memory needs none. */
function handedOver(tensor: Tensor): Tensor {
  return isShared(tensor.data) ? tensor : ({ ...tensor, data: tensor.data.slice() } as Tensor);
}

/** A pool of worker threads, shared by the programs that are given it. */
export class Workers implements Runtime {
  /** Results come after a run has returned its promise. */
  readonly atOnce = false;
  readonly #threads: readonly Thread[];
  #sessions = 0;

  /** See `workers`. */
  constructor({ count = 1 }: WorkersOptions = {}) {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The number of worker threads is a whole number from 1 up, not ${count}.`,
      );
    }
    this.#threads = Array.from({ length: count }, () => new Thread());
  }

  /** The runtime's name and version: "onnxruntime-node 1.30.0". */
  get version(): string {
    return here.version;
  }

  /**
   * Loads a program into the thread that holds the fewest.
   * @throws PergradError RUNTIME: the runtime cannot load the program, or the threads were released.
   */
  async load(model: string | Uint8Array, options: RuntimeOptions = {}): Promise<Session> {
    const thread = this.#threads.reduce((least, other) => (other.load < least.load ? other : least));
    const session = this.#sessions++;
    thread.load += 1;
    try {
      await thread.ask({ kind: "load", session, model, options });
    } catch (error) {
      thread.load -= 1;
      throw error;
    }
    return new WorkerSession(thread, session);
  }

  /** Ends the threads. Runs under way, and later ones of programs in this pool, throw RUNTIME. */
  async release(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

/**
 * Worker threads for programs (`workers` among a program's options): `run` and `stream` then leave the event loop
 * free. What is fed is copied, unless it lies in a SharedArrayBuffer; results are handed over without a copy. Idle
 * threads do not keep the process alive.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function workers(options: WorkersOptions = {}): Workers {
  return new Workers(options);
}
