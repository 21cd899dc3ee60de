import { PergradError } from "../errors.js";

/** A page cannot start Web Workers: in old browsers, in pages opened from files, under some security policies. */
export class NoWorkers extends PergradError {
  constructor(readonly reason: string) {
    super(
      "RUNTIME",
      `No Web Worker can be started here (${reason}); leave out \`workers\`, and programs compile and run in the page's own thread.`,
    );
  }
}
