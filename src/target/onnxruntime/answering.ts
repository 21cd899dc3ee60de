/** What a worker thread does: it runs the sessions that it is asked for. */
import { defect, PergradError } from "../../errors.js";
import type { Runtime, Session } from "../runtime.js";
import type { Answer, Request } from "./messages.js";

/** A program that was compiled for a task. */
export interface CompiledTask {
  readonly session: Session;
  readonly held: readonly string[];
  readonly told: unknown;
}

export class Answering {
  readonly #sessions = new Map<number, Session>();

  /** @param compile absent where the thread only runs programs */
  constructor(
    private readonly runtime: Runtime,
    private readonly compile?: (task: object) => Promise<CompiledTask>,
  ) {}

  /** The answer, and the memory that may be handed over with it. */
  async answer(request: Request): Promise<{ readonly answer: Answer; readonly buffers: ArrayBuffer[] }> {
    try {
      const answer = await this.#answer(request);
      const buffers = new Set(Object.values(answer.results ?? {}).map(({ data }) => data.buffer as ArrayBuffer));
      return { answer, buffers: [...buffers] };
    } catch (error) {
      const { code, message } = error instanceof PergradError ? error : defect(String(error), error);
      return { answer: { id: request.id, error: { code, message } }, buffers: [] };
    }
  }

  async #answer(request: Request): Promise<Answer> {
    const { id, session } = request;
    if (request.kind === "load") {
      this.#sessions.set(session, await this.runtime.load(request.model, request.options));
      return { id };
    }
    if (request.kind === "compile") {
      if (!this.compile) throw defect("a worker thread that only runs programs is asked to compile one");
      const { session: made, ...compiled } = await this.compile(request.task);
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
