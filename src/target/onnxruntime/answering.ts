/** What a worker thread does: it runs the sessions that it is asked to run. */
import { defect, PergradError } from "../../errors.js";
import type { Runtime, Session } from "../runtime.js";
import type { Answer, Request } from "./messages.js";

/** A program that was compiled for a task. */
export interface CompiledTask {
  readonly session: Session;
  readonly held: readonly string[];
  readonly told: unknown;
}

/** What a thread does besides running programs. */
export interface Doing {
  /** @param onStage is called at the start of each stage */
  compile(task: object, onStage: (stage: string) => void): Promise<CompiledTask>;
  /** Reads a model. Returns the model for the answer, and the arrays in it that may be transferred. */
  read(task: object): Promise<{ readonly model: object; readonly arrays: readonly ArrayBufferView[] }>;
}

export class Answering {
  readonly #sessions = new Map<number, Session>();

  /**
   * @param doing absent if the thread only runs programs
   * @param tell sends a partial answer to a request
   */
  constructor(
    private readonly runtime: Runtime,
    private readonly doing?: Doing,
    private readonly tell?: (answer: Answer) => void,
  ) {}

  /** The answer, and the memory that may be transferred with it. */
  async answer(request: Request): Promise<{ readonly answer: Answer; readonly buffers: ArrayBuffer[] }> {
    try {
      if (request.kind === "read") return await this.#read(request);
      const answer = await this.#answer(request);
      const buffers = new Set(Object.values(answer.results ?? {}).map(({ data }) => data.buffer as ArrayBuffer));
      return { answer, buffers: [...buffers] };
    } catch (error) {
      const { code, message } = error instanceof PergradError ? error : defect(String(error), error);
      return { answer: { id: request.id, error: { code, message } }, buffers: [] };
    }
  }

  async #read({ id, task }: Extract<Request, { readonly kind: "read" }>) {
    if (!this.doing) throw defect("a worker thread that only runs programs is asked to read a model");
    const { model, arrays } = await this.doing.read(task);
    return { answer: { id, read: model }, buffers: [...new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer))] };
  }

  async #answer(request: Exclude<Request, { readonly kind: "read" }>): Promise<Answer> {
    const { id, session } = request;
    if (request.kind === "load") {
      this.#sessions.set(session, await this.runtime.load(request.model, request.options));
      return { id };
    }
    if (request.kind === "compile") {
      if (!this.doing) throw defect("a worker thread that only runs programs is asked to compile one");
      const { session: made, ...compiled } = await this.doing.compile(request.task, (stage) =>
        this.tell?.({ id, stage }),
      );
      this.#sessions.set(session, made);
      return { id, compiled };
    }
    const found = this.#sessions.get(session);
    if (!found) throw defect(`a worker thread knows no session ${session}`);
    if (request.kind === "run") return { id, results: await found.run(request.feeds) };
    this.#sessions.delete(session);
    await found.release();
    return { id };
  }
}
