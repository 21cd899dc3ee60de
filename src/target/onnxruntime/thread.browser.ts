/** A Web Worker that runs programs, as the page sees it. Ending it returns all memory of its runtime. */
import { PergradError } from "../../errors.js";
import { NoWorkers } from "../no-workers.js";
import { threadsReleased } from "./exchange.js";
import type { Answer, Sent } from "./messages.js";
import { Requests } from "./requests.js";

/** What is used of a browser's workers. */
interface WebWorker {
  onmessage: ((event: { readonly data: Answer }) => void) | null;
  onerror: ((event: { readonly message?: string }) => void) | null;
  postMessage(message: unknown, transferred: readonly ArrayBuffer[]): void;
  terminate(): void;
}
declare const Worker: new (module: URL, options: { readonly type: "module" }) => WebWorker;

/** Throws RUNTIME. */
function started(start: () => WebWorker): WebWorker {
  try {
    return start();
  } catch (error) {
    throw new NoWorkers(error instanceof Error ? error.message.replace(/\.$/, "") : String(error));
  }
}

export class Thread {
  readonly #worker = started(() => new Worker(new URL("./worker-thread.js", import.meta.url), { type: "module" }));
  readonly #requests = new Requests();
  /** The number of sessions that it holds. */
  load = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#requests.answered(data);
    this.#worker.onerror = ({ message = "its module cannot be loaded" }) =>
      this.#end(new PergradError("RUNTIME", `A worker failed: ${message.replace(/\.$/, "")}; see docs/browser.md.`));
  }

  ask(request: Sent, transferred: readonly ArrayBuffer[] = [], onStage?: (stage: string) => void): Promise<Answer> {
    return this.#requests.ask(request, (numbered) => this.#worker.postMessage(numbered, transferred), onStage);
  }

  /** Ends the worker at once; pending requests then fail. */
  async end(): Promise<void> {
    this.#end(threadsReleased());
  }

  #end(reason: PergradError): void {
    this.#requests.end(reason);
    this.#worker.terminate();
  }
}
