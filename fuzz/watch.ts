/** Runs cases in a thread, and stops those that take too long or too much memory. */
import { Worker } from "node:worker_threads";
import type { Answer } from "./worker.js";

const limits = { milliseconds: 5000, bytes: 2 ** 30 } as const;
/** How often time and memory are looked at. */
const interval = 20;

export class Watched {
  #worker: Worker | null = null;

  constructor(private readonly seed: number) {}

  /** The outcome of one case; what broke a limit is tried again, alone, before it is a finding. */
  async run(index: number): Promise<Answer> {
    const first = await this.#once(index);
    return typeof first === "string" ? this.#confirmed(index) : first;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  async #confirmed(index: number): Promise<Answer> {
    const again = await this.#once(index);
    return typeof again === "string" ? { what: "", outcome: { kind: "finding", problem: again } } : again;
  }

  /** A text says which limit was broken, or how the thread died. */
  async #once(index: number): Promise<Answer | string> {
    this.#worker ??= start(this.seed);
    const worker = this.#worker;
    const answer = await watch(worker, index);
    if (typeof answer === "string") await this.close();
    return answer;
  }
}

function start(seed: number): Worker {
  const resourceLimits = { maxOldGenerationSizeMb: 1024 };
  return new Worker(new URL("./worker.js", import.meta.url), { workerData: { seed }, resourceLimits });
}

function watch(worker: Worker, index: number): Promise<Answer | string> {
  return new Promise((resolve) => {
    let began = Number.POSITIVE_INFINITY;
    let base = 0;
    const settle = (result: Answer | string) => {
      clearInterval(timer);
      worker.removeAllListeners();
      // An error that comes after its case was given up.
      worker.on("error", () => {});
      resolve(result);
    };
    const check = () => {
      const elapsed = performance.now() - began;
      const grown = process.memoryUsage.rss() - base;
      if (elapsed > limits.milliseconds) settle(`takes more than ${limits.milliseconds} ms`);
      else if (elapsed > 0 && grown > limits.bytes) settle(`takes ${Math.round(grown / 2 ** 20)} MB`);
    };
    const timer = setInterval(check, interval);
    worker.removeAllListeners();
    worker.on("error", (error: Error) => settle(`ends its thread: ${error.message}`));
    worker.on("exit", (code) => settle(`ends its thread with code ${code}`));
    worker.on("message", (message: "started" | Answer) => {
      if (message !== "started") return settle(message);
      began = performance.now();
      base = process.memoryUsage.rss();
    });
    worker.postMessage(index);
  });
}
