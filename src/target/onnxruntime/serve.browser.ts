/** Makes a Web Worker answer the requests of workers.ts, one after another. */
import { Answering, type Doing } from "./answering.js";
import { here } from "./here.js";
import type { Request } from "./messages.js";

/** What is used of a worker's own scope. */
declare const self: {
  onmessage: ((event: { readonly data: Request }) => void) | null;
  postMessage(message: unknown, transferred: readonly ArrayBuffer[]): void;
};

export function serve(doing: Doing): void {
  const answering = new Answering(here, doing, (answer) => self.postMessage(answer, []));
  /** The end of the last request. */
  let before = Promise.resolve();
  self.onmessage = ({ data }) => {
    before = before.then(async () => {
      const { answer, buffers } = await answering.answer(data);
      self.postMessage(answer, buffers);
    });
  };
}
