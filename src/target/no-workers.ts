import { PergradError } from "../errors.js";

/** Where a page cannot start Web Workers: old browsers, pages of files, policies that forbid them. */
export class NoWorkers extends PergradError {
  constructor(readonly reason: string) {
    super(
      "RUNTIME",
      `No Web Worker can be started here (${reason}); leave out \`workers\`, and programs compile and run in the page's own thread.`,
    );
  }
}
