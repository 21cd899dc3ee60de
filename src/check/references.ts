/** The reference of a check, in this thread or spread over several. */

import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { PergradError } from "../errors.js";
import { flatten, restore } from "../graph/flat.js";
import { leadingOf, nth } from "../present.js";
import type { Try } from "./differences.js";
import { InThisThread, type References } from "./in-this-thread.js";
import type { ReferenceParts } from "./oracle.js";
import type { Answer, Question, SentParts } from "./reference-messages.js";
import { workOf } from "./work.js";

/** Starting threads pays off only if a check reads and writes more numbers than this. */
const worthThreads = 2 ** 26;

/**
 * @param threads the most threads; default: one for each core
 * @param passes how often the model will be evaluated, approximately
 */
export function referencesOf(parts: ReferenceParts, passes: number, threads = availableParallelism()): References {
  const module = entry();
  const count = Math.min(threads, Math.ceil(passes));
  if (count < 2 || !module || passes * workOf([parts.losses, ...parts.gradients]) < worthThreads)
    return new InThisThread(parts);
  return new InThreads(parts, module, count);
}

/** The module of the threads; undefined in a bundle, which no longer holds it. */
function entry(): URL | undefined {
  const module = new URL("./reference-thread.js", import.meta.url);
  return module.protocol === "file:" && existsSync(module) ? module : undefined;
}

interface Request {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  readonly worker: Worker;
  /** The sample whose activations it holds. */
  sample: number;
  busy: Request | undefined;
}

/** Threads that take one question after another; those about the sample that they hold come first. */
class InThreads implements References {
  readonly #lanes: readonly Lane[];
  readonly #waiting: Request[] = [];
  #failed: PergradError | undefined;

  constructor(parts: ReferenceParts, module: URL, count: number) {
    const workerData = sentParts(parts);
    this.#lanes = Array.from({ length: count }, () => {
      const lane: Lane = { worker: new Worker(module, { workerData, execArgv: [] }), sample: -1, busy: undefined };
      lane.worker.on("message", (answer: Answer) => this.#answered(lane, answer));
      lane.worker.on("error", ({ message }) => this.#fail(`A thread of the float64 reference failed: ${message}.`));
      lane.worker.on("exit", () => this.#fail("A thread of the float64 reference ended unexpectedly."));
      return lane;
    });
  }

  get lanes(): number {
    return this.#lanes.length;
  }

  async gradients(sample: number): Promise<ReadonlyMap<string, Float64Array>> {
    return new Map((await this.#ask({ sample })).gradients);
  }

  async products(sample: number): Promise<ReadonlyMap<string, Float64Array>> {
    return new Map((await this.#ask({ sample, products: true })).products);
  }

  async differences(sample: number, tries: readonly Try[]): Promise<readonly (number | null)[]> {
    return (await this.#ask({ sample, tries })).errors ?? [];
  }

  async release(): Promise<void> {
    this.#fail("The check was ended.");
    await Promise.all(this.#lanes.map(({ worker }) => worker.terminate()));
  }

  #ask(question: Question): Promise<Answer> {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      this.#assign();
    });
  }

  #assign(): void {
    for (const lane of this.#lanes) {
      if (lane.busy || this.#waiting.length === 0) continue;
      const own = this.#waiting.findIndex(({ question }) => question.sample === lane.sample);
      // Prefers a question about a sample whose activations no other thread holds: they need not be computed twice.
      const free = this.#waiting.findIndex(({ question }) =>
        this.#lanes.every(({ sample }) => sample !== question.sample),
      );
      const [next] = this.#waiting.splice(own >= 0 ? own : Math.max(free, 0), 1);
      if (!next) continue;
      lane.busy = next;
      lane.sample = next.question.sample;
      lane.worker.postMessage(next.question);
    }
  }

  #answered(lane: Lane, answer: Answer): void {
    const request = lane.busy;
    lane.busy = undefined;
    if (answer.error) request?.reject(new PergradError(answer.error.code, answer.error.message));
    else request?.resolve(answer);
    this.#assign();
  }

  #fail(message: string): void {
    this.#failed ??= new PergradError("RUNTIME", message);
    const all = [...this.#lanes.flatMap(({ busy }) => busy ?? []), ...this.#waiting];
    this.#waiting.length = 0;
    for (const { reject } of all) reject(this.#failed);
  }
}

/** Replaces values by their places in a flat graph. */
export function sentParts({
  losses,
  gradients,
  products,
  trained,
  parameters,
  inputs,
  samples,
  names,
}: ReferenceParts): SentParts {
  const values = [
    losses,
    ...gradients,
    ...products.values(),
    ...trained,
    ...parameters.map(([value]) => value),
    ...inputs.map(({ value }) => value),
  ];
  return {
    samples,
    names,
    productNames: [...products.keys()],
    graph: flatten(values),
    parameters: parameters.map(([, array]) => array),
    inputs: inputs.map(({ sampleAxis, tensor }) => ({ sampleAxis, tensor })),
  };
}

/** The reverse. */
export function receivedParts({ graph, parameters, inputs, names, productNames, samples }: SentParts): ReferenceParts {
  const values = restore(graph);
  const take = (count: number) => values.splice(0, count);
  const [losses] = leadingOf(take(1), 1);
  const gradients = take(names.length);
  const products = new Map(take(productNames.length).map((value, k) => [nth(productNames, k), value]));
  const [trained, fed] = [take(names.length), take(parameters.length)];
  return {
    samples,
    names,
    losses,
    gradients,
    products,
    trained,
    parameters: fed.map((value, k) => [value, nth(parameters, k)]),
    inputs: values.map((value, k) => ({ value, ...nth(inputs, k) })),
  };
}
