/** A worker thread in Node that runs programs, as the calling thread sees it. */
import { Worker } from "node:worker_threads";
import { PergradError } from "../../errors.js";
import { threadsReleased } from "./exchange.js";
import { type Answer, place, type Sent } from "./messages.js";
import { Requests } from "./requests.js";

function failure(error: Error): PergradError {
  const bundled = "code" in error && (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND");
  const advice = "; a bundle does not hold what its threads run, so leave pergrad out of it (docs/installing.md)";
  return new PergradError(
    "RUNTIME",
    `A worker thread failed: ${error.message.replace(/\.$/, "")}${bundled ? advice : ""}.`,
  );
}

const running = new Set<Thread>();

/** Stopping a thread inside the runtime ends the whole process, so an exit waits until the thread is outside it. */
function waitForAll(): void {
  for (const thread of running) thread.stop();
}

/** One thread. It keeps the process alive while it has requests to answer. */
export class Thread {
  readonly #state = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker = new Worker(new URL("./worker-thread.js", import.meta.url), {
    workerData: this.#state.buffer,
    execArgv: [],
  });
  readonly #exited: Promise<void>;
  readonly #requests = new Requests();
  /** The number of sessions that it holds. */
  load = 0;

  constructor() {
    this.#worker.unref();
    this.#worker.on("message", (answer: Answer) => this.#answered(answer));
    this.#worker.on("error", (error) => this.#requests.end(failure(error)));
    this.#exited = new Promise((resolve) => {
      this.#worker.once("exit", () => {
        this.#exit();
        resolve();
      });
    });
    if (running.size === 0) process.on("exit", waitForAll);
    running.add(this);
  }

  ask(request: Sent, transferred: readonly ArrayBuffer[] = [], onStage?: (stage: string) => void): Promise<Answer> {
    const post = (numbered: Sent & { readonly id: number }) => {
      this.#worker.ref();
      this.#worker.postMessage(numbered, transferred);
    };
    return this.#requests.ask(request, post, onStage);
  }

  /** Ends the thread once it has finished computing; pending requests fail at once. */
  async end(): Promise<void> {
    this.#requests.end(threadsReleased());
    this.#worker.ref();
    Atomics.store(this.#state, place.ending, 1);
    this.#worker.postMessage({ kind: "end" });
    await this.#exited;
  }

  /** Blocks until the thread is outside the runtime, and keeps it from entering again. */
  stop(): void {
    Atomics.store(this.#state, place.ending, 1);
    Atomics.wait(this.#state, place.busy, 1);
  }

  #answered(answer: Answer): void {
    this.#requests.answered(answer);
    if (this.#requests.idle) this.#worker.unref();
  }

  #exit(): void {
    this.#requests.end(new PergradError("RUNTIME", "A worker thread ended unexpectedly."));
    running.delete(this);
    if (running.size === 0) process.removeListener("exit", waitForAll);
  }
}
