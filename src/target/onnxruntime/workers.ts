/** Worker threads that run programs, so that the calling thread's event loop stays free. */
import { defect, PergradError } from "../../errors.js";
import type { Tensor, TypedArray } from "../../tensor/tensor.js";
import type { Runtime, RuntimeOptions, Session } from "../runtime.js";
import { unlessAborted } from "../signals.js";
import type { CompiledElsewhere } from "../target.js";
import { releasedError } from "./exchange.js";
import { here } from "./here.js";
import type { Answer } from "./messages.js";
import { Thread } from "./thread.js";

/** Options of `workers`. */
export interface WorkersOptions {
  /**
   * The number of worker threads, from 1 up. Programs are spread over them; those in one thread run one after another,
   * each with its own `threads` within an operation. Default 1.
   */
  readonly count?: number;
}

class WorkerSession implements Session {
  #released = false;

  constructor(
    private readonly thread: Thread,
    private readonly id: number,
  ) {}

  compile(task: object, onStage?: (stage: string) => void): Promise<Answer> {
    return this.thread.ask({ kind: "compile", session: this.id, task }, [], onStage);
  }

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
  return typeof SharedArrayBuffer !== "undefined" && data.buffer instanceof SharedArrayBuffer;
}

/** The caller keeps its arrays, so a copy of them is transferred. Shared memory needs no copy. */
function handedOver(tensor: Tensor): Tensor {
  return isShared(tensor.data) ? tensor : ({ ...tensor, data: tensor.data.slice() } as Tensor);
}

/** A pool of worker threads, shared by the programs that are given it. */
export class Workers implements Runtime {
  /** Results come after a run has returned its promise. */
  readonly atOnce = false;
  readonly #threads: Thread[];
  #sessions = 0;

  /** See `workers`. */
  constructor({ count = 1 }: WorkersOptions = {}) {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The number of worker threads must be a whole number from 1 up, not ${count}.`,
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
    const thread = this.#leastLoaded();
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

  #leastLoaded(): Thread {
    return this.#threads.reduce((least, other) => (other.load < least.load ? other : least));
  }

  /**
   * Compiles a program in the thread that holds the fewest, and loads it there. Throws what compiling throws, and the
   * signal's reason. An abort takes effect at once; if the thread holds nothing else, it ends, and another takes its
   * place.
   * @internal
   */
  async compile(task: object, signal?: AbortSignal, onStage?: (stage: string) => void): Promise<CompiledElsewhere> {
    const thread = this.#leastLoaded();
    const session = new WorkerSession(thread, this.#sessions++);
    thread.load += 1;
    try {
      const { compiled } = await unlessAborted(session.compile(task, onStage), signal);
      const held = new Set(compiled?.held);
      return {
        told: compiled?.told,
        running: {
          held,
          isReady: () => true,
          run: (feeds) => session.run(feeds),
          release: () => session.release(),
        },
      };
    } catch (error) {
      if (signal?.aborted && thread.load === 1) await this.#replace(thread);
      // A thread that also holds other programs releases this one once it has compiled it.
      else void session.release();
      throw error;
    }
  }

  /**
   * Reads a model in the thread that holds the fewest programs. Throws what reading throws, and the signal's reason.
   * @internal
   */
  async read(task: object, signal?: AbortSignal): Promise<object> {
    const thread = this.#leastLoaded();
    thread.load += 1;
    try {
      const { read } = await unlessAborted(thread.ask({ kind: "read", task }), signal);
      if (!read) throw defect("a worker thread read nothing");
      return read;
    } catch (error) {
      if (signal?.aborted && thread.load === 1) await this.#replace(thread);
      throw error;
    } finally {
      thread.load -= 1;
    }
  }

  async #replace(thread: Thread): Promise<void> {
    this.#threads[this.#threads.indexOf(thread)] = new Thread();
    await thread.end();
  }

  /** Ends the threads. Pending and later runs of programs in this pool throw RUNTIME. */
  async release(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

/**
 * Worker threads for programs (the option `workers`): `run` and `stream` then leave the event loop free. Feeds are
 * copied, unless they are in a SharedArrayBuffer; results are transferred without a copy. Idle threads do not keep the
 * process alive.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function workers(options: WorkersOptions = {}): Workers {
  return new Workers(options);
}
