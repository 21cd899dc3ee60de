/** A Web Worker that runs programs, as the page sees it. Its end gives back all memory of its runtime. */
import { PergradError } from "../../errors.js";
import { threadsReleased } from "./exchange.js";
import type { Answer, Sent } from "./messages.js";

/** What is used of a browser's workers. */
interface WebWorker {
  onmessage: ((event: { readonly data: Answer }) => void) | null;
  onerror: ((event: { readonly message?: string }) => void) | null;
  postMessage(message: unknown, transferred: readonly ArrayBuffer[]): void;
  terminate(): void;
}
declare const Worker: new (module: URL, options: { readonly type: "module" }) => WebWorker;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export class Thread {
  readonly #worker = new Worker(new URL("./worker-thread.js", import.meta.url), { type: "module" });
  readonly #waiting = new Map<number, Waiting>();
  #requests = 0;
  #ended: PergradError | undefined;
  /** Sessions that it holds. */
  load = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#answered(data);
    this.#worker.onerror = ({ message = "its module cannot be loaded" }) =>
      this.#end(new PergradError("RUNTIME", `A worker failed: ${message.replace(/\.$/, "")}; see docs/browser.md.`));
  }

  ask(request: Sent, transferred: readonly ArrayBuffer[] = []): Promise<Answer> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#requests++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id }, transferred);
    });
  }

  /** Ends the worker at once; what is asked of it then fails. */
  async end(): Promise<void> {
    this.#end(threadsReleased());
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    const { error } = answer;
    if (error) waiting?.reject(new PergradError(error.code, error.message));
    else waiting?.resolve(answer);
  }

  #end(reason: PergradError): void {
    this.#ended ??= reason;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
    this.#worker.terminate();
  }
}
