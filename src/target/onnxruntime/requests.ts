/** The pending requests to a thread, whatever kind of thread it is. */
import { PergradError } from "../../errors.js";
import type { Answer, Sent } from "./messages.js";

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  readonly onStage: ((stage: string) => void) | undefined;
}

export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  #sent = 0;
  #ended: PergradError | undefined;

  /** Whether all requests are answered. */
  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  /** The answer to the request that `post` sends; fails at once after `end`. */
  ask(
    request: Sent,
    post: (numbered: Sent & { readonly id: number }) => void,
    onStage?: (stage: string) => void,
  ): Promise<Answer> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#sent++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onStage });
      post({ ...request, id });
    });
  }

  answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (answer.stage !== undefined) {
      waiting?.onStage?.(answer.stage);
      return;
    }
    this.#waiting.delete(answer.id);
    const { error } = answer;
    if (error) waiting?.reject(new PergradError(error.code, error.message));
    else waiting?.resolve(answer);
  }

  /** Makes pending and later requests fail for this reason; the first reason counts. */
  end(reason: PergradError): void {
    this.#ended ??= reason;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}
